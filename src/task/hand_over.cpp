// JSON of a hand-over: see hand_over.h. Pure; any thread.
#include "cloudtask/task/hand_over.h"

namespace cloudtask::task {

void write_hand_over(json::Writer& out, const HandOver& hand_over) {
    out.key("hand_over").begin_object();
    out.member("due", hand_over.due).member("made", hand_over.made).member("after", hand_over.after);
    out.end_object();
}

std::optional<HandOver> read_hand_over(json::ObjectReader& reader) {
    const json::Value* value = reader.object("hand_over");
    if (value == nullptr) return std::nullopt;
    json::ObjectReader of_it{*value, reader.pointer("hand_over"), reader.faults()};
    HandOver hand_over;
    for (const auto* name : {"due", "made", "after"}) of_it.require(name);
    of_it.read_instant("due", hand_over.due);
    of_it.read("made", hand_over.made, {.min = 1, .max = 1000});
    of_it.read("after", hand_over.after, {.min = 1, .max = 128});
    return hand_over;
}

}  // namespace cloudtask::task
