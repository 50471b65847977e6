// JSON of the records in ZooKeeper. Instants are microseconds since 1970, since these records are for programs.
#include "cloudtask/ring/allocation.h"

#include <algorithm>
#include <charconv>

#include "cloudtask/core/json.h"

namespace cloudtask::ring {

namespace {

constexpr json::Limits kLimits{.max_bytes = 256 * 1024, .max_depth = 8};
constexpr json::ListRule kMany{.min = 0, .max = 100'000, .item = {}};

std::int64_t micros(Instant instant) { return instant.time_since_epoch().count(); }

bool read_micros(json::ObjectReader& reader, std::string_view name, Instant& out) {
    std::int64_t value = 0;
    if (!reader.read(name, value)) return false;
    out = Instant{Duration{value}};
    return true;
}

void write_member_fields(json::Writer& out, const Member& member) {
    out.member("id", member.id).member("incarnation", member.incarnation).member("name", member.name);
    if (!member.labels.empty()) out.member("labels", member.labels);
    out.member("weight", static_cast<std::int64_t>(member.weight));
}

Member read_member_fields(json::ObjectReader& reader) {
    Member member;
    for (const auto* name : {"id", "incarnation", "name"}) reader.require(name);
    reader.read("id", member.id);
    reader.read("incarnation", member.incarnation);
    reader.read("name", member.name);
    reader.read("labels", member.labels);
    std::int64_t weight = 1;
    reader.read("weight", weight, {1, 100});
    member.weight = static_cast<std::uint32_t>(weight);
    return member;
}

// The members of all memberships of one allocation, each written once: they differ little from epoch to epoch, and all have to fit in one
// znode. Memberships are lists of numbers into the table.
class MemberTable {
  public:
    std::vector<std::int64_t> numbers(const std::vector<Member>& membership) {
        std::vector<std::int64_t> numbers;
        numbers.reserve(membership.size());
        for (const auto& member : membership) numbers.push_back(number(member));
        return numbers;
    }

    void write(json::Writer& out) const {
        out.key("members").begin_array();
        for (const Member* member : members_) {
            out.begin_object();
            write_member_fields(out, *member);
            out.end_object();
        }
        out.end_array();
    }

    std::int64_t number(const Member& member) {
        auto& known = by_incarnation_[member.incarnation];  // more than one if labels or weight have changed
        const auto found =
            std::find_if(known.begin(), known.end(), [&](std::int64_t at) { return *members_[static_cast<std::size_t>(at)] == member; });
        if (found != known.end()) return *found;
        known.push_back(static_cast<std::int64_t>(members_.size()));
        members_.push_back(&member);
        return known.back();
    }

  private:
    std::vector<const Member*> members_;
    std::map<std::string_view, std::vector<std::int64_t>> by_incarnation_;
};

void write_numbers(json::Writer& out, std::string_view name, const std::vector<std::int64_t>& numbers) {
    out.key(name).begin_array();
    for (const auto number : numbers) out.value(number);
    out.end_array();
}

// Reads each element of the list `name` with `read_item`; an absent list is empty.
template <class Item, class ReadItem>
std::vector<Item> read_list(json::ObjectReader& reader, std::string_view name, ReadItem read_item) {
    std::vector<Item> items;
    const json::Value* list = reader.array(name, kMany);
    if (list == nullptr) return items;
    items.reserve(list->Size());
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        json::ObjectReader item((*list)[i], pointer_to(reader.pointer(name), i), reader.faults());
        items.push_back(read_item(item));
    }
    return items;
}

// A membership: numbers into `members`.
std::vector<Member> read_numbers(json::ObjectReader& reader, std::string_view name, const std::vector<Member>& members) {
    std::vector<Member> membership;
    const json::Value* list = reader.array(name, kMany);
    if (list == nullptr) return membership;
    membership.reserve(list->Size());
    for (const auto& number : list->GetArray()) {
        if (!number.IsUint64() || number.GetUint64() >= members.size()) {
            reader.faults().add(reader.pointer(name), "is not a list of numbers of members", "");
            return {};
        }
        membership.push_back(members[number.GetUint64()]);
    }
    return membership;
}

void write_handovers(json::Writer& out, const std::vector<Handover>& handovers) {
    if (handovers.empty()) return;
    out.key("handovers").begin_array();
    for (const auto& handover : handovers) {
        out.begin_object()
            .member("epoch", handover.epoch)
            .member("at", micros(handover.at))
            .member("revision", handover.revision)
            .end_object();
    }
    out.end_array();
}

std::vector<Handover> read_handovers(json::ObjectReader& reader) {
    return read_list<Handover>(reader, "handovers", [](json::ObjectReader& item) {
        Handover handover;
        item.read("epoch", handover.epoch);
        read_micros(item, "at", handover.at);
        item.read("revision", handover.revision);
        return handover;
    });
}

void write_late(json::Writer& out, const std::vector<LateMove>& late) {
    if (late.empty()) return;
    out.key("late").begin_array();
    for (const auto& move : late) {
        out.begin_object().member("from", move.from).member("to", move.to).member("at", micros(move.at));
        if (!move.task.empty()) out.member("task", move.task);
        out.end_object();
    }
    out.end_array();
}

std::vector<LateMove> read_late(json::ObjectReader& reader) {
    return read_list<LateMove>(reader, "late", [](json::ObjectReader& item) {
        LateMove move;
        item.read("from", move.from);
        item.read("to", move.to);
        read_micros(item, "at", move.at);
        item.read("task", move.task);
        return move;
    });
}

void write_departed_fields(json::Writer& out, const Departed& departed) {
    out.member("incarnation", departed.incarnation)
        .member("epoch", departed.epoch)
        .member("horizon", micros(departed.horizon))
        .member("done", micros(departed.done))
        .member("floor", micros(departed.floor))
        .member("revision", departed.revision)
        .member("since", departed.since)
        .member("resumed", departed.resumed);
    write_handovers(out, departed.handovers);
    write_late(out, departed.late);
}

Departed read_departed_fields(json::ObjectReader& reader) {
    Departed departed;
    reader.read("incarnation", departed.incarnation);
    reader.read("epoch", departed.epoch);
    read_micros(reader, "horizon", departed.horizon);
    read_micros(reader, "done", departed.done);
    read_micros(reader, "floor", departed.floor);
    reader.read("revision", departed.revision);
    departed.handovers = read_handovers(reader);
    departed.late = read_late(reader);
    reader.read("since", departed.since);
    reader.read("resumed", departed.resumed);
    return departed;
}

// Parses `text` and reads it by `read_fields`; any fault makes the whole record unreadable. Members that it does not know it leaves alone:
// while nodes are upgraded one by one, the newer ones write more than the older ones know.
template <class Record, class ReadFields>
Result<Record> read_record(std::string_view what, std::string_view text, ReadFields read_fields) {
    const auto document = json::parse(text, kLimits);
    if (!document) return fail(Errc::corrupt, "the {} record cannot be read: {}", what, document.error().message);
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    Record record;
    read_fields(reader, record);
    if (!faults.empty()) return fail(Errc::corrupt, "the {} record cannot be read: {}", what, faults.summary());
    return record;
}

}  // namespace

const Departed* Allocation::find_departed(std::string_view incarnation) const {
    const auto found =
        std::find_if(departed.begin(), departed.end(), [incarnation](const Departed& d) { return d.incarnation == incarnation; });
    return found == departed.end() ? nullptr : &*found;
}

const Handover* find_handover(const std::vector<Handover>& handovers, std::int64_t epoch) {
    const auto found = std::find_if(handovers.begin(), handovers.end(), [epoch](const Handover& h) { return h.epoch >= epoch; });
    return found == handovers.end() ? nullptr : &*found;
}

std::optional<Instant> find_late(const std::vector<LateMove>& late, std::string_view task_id, std::int64_t revision) {
    std::optional<Instant> latest;
    for (const auto& move : late) {
        const bool meant = move.from <= revision && revision <= move.to && (move.task.empty() || move.task == task_id);
        if (meant) latest = std::max(latest.value_or(move.at), move.at);
    }
    return latest;
}

std::string write_allocation(const Allocation& allocation) {
    MemberTable members;
    const std::vector<std::int64_t> nodes = members.numbers(allocation.nodes);
    std::vector<std::vector<std::int64_t>> previous;
    for (const auto& membership : allocation.previous) previous.push_back(members.numbers(membership.nodes));
    std::vector<std::int64_t> gone;
    for (const auto& one : allocation.gone) gone.push_back(members.number(one.node));

    json::Writer out;
    out.begin_object().member("epoch", allocation.epoch);
    members.write(out);
    write_numbers(out, "nodes", nodes);
    if (!allocation.previous.empty()) {
        out.key("previous").begin_array();
        for (std::size_t i = 0; i < previous.size(); ++i) {
            out.begin_object().member("epoch", allocation.previous[i].epoch);
            write_numbers(out, "nodes", previous[i]);
            out.end_object();
        }
        out.end_array();
    }
    if (!allocation.departed.empty()) {
        out.key("departed").begin_array();
        for (const auto& departed : allocation.departed) {
            out.begin_object();
            write_departed_fields(out, departed);
            out.end_object();
        }
        out.end_array();
    }
    if (!allocation.gone.empty()) {
        out.key("gone").begin_array();
        for (std::size_t i = 0; i < gone.size(); ++i) {
            out.begin_object().member("node", gone[i]);
            out.member("lost_in", allocation.gone[i].lost_in).member("settled", allocation.gone[i].settled);
            write_departed_fields(out, allocation.gone[i].last);
            out.end_object();
        }
        out.end_array();
    }
    if (allocation.rebuilt) {
        out.key("rebuilt").begin_object();
        out.member("since", micros(allocation.rebuilt->since))
            .member("until", micros(allocation.rebuilt->until))
            .member("epoch", allocation.rebuilt->epoch)
            .end_object();
    }
    return out.end_object().text();
}

Result<Allocation> read_allocation(std::string_view text) {
    return read_record<Allocation>("allocation", text, [](json::ObjectReader& reader, Allocation& allocation) {
        reader.require("epoch");
        reader.read("epoch", allocation.epoch);
        const auto members = read_list<Member>(reader, "members", read_member_fields);
        allocation.nodes = read_numbers(reader, "nodes", members);
        allocation.previous = read_list<Membership>(reader, "previous", [&members](json::ObjectReader& item) {
            Membership membership;
            item.read("epoch", membership.epoch);
            membership.nodes = read_numbers(item, "nodes", members);
            return membership;
        });
        allocation.departed = read_list<Departed>(reader, "departed", read_departed_fields);
        allocation.gone = read_list<Gone>(reader, "gone", [&members](json::ObjectReader& item) {
            Gone one;
            std::int64_t node = 0;
            item.require("node");
            item.read("node", node, {0, static_cast<std::int64_t>(members.size()) - 1});
            if (node >= 0 && static_cast<std::size_t>(node) < members.size()) one.node = members[static_cast<std::size_t>(node)];
            item.read("lost_in", one.lost_in);
            item.read("settled", one.settled);
            one.last = read_departed_fields(item);
            return one;
        });
        if (const json::Value* rebuilt = reader.object("rebuilt")) {
            json::ObjectReader item(*rebuilt, reader.pointer("rebuilt"), reader.faults());
            allocation.rebuilt.emplace();
            read_micros(item, "since", allocation.rebuilt->since);
            read_micros(item, "until", allocation.rebuilt->until);
            item.read("epoch", allocation.rebuilt->epoch);
        }
    });
}

std::string write_horizon(const HorizonRecord& record) {
    json::Writer out;
    out.begin_object()
        .member("epoch", record.epoch)
        .member("horizon", micros(record.horizon))
        .member("done", micros(record.done))
        .member("floor", micros(record.floor))
        .member("resumed", record.resumed)
        .member("revision", record.revision)
        .member("since", record.since);
    write_handovers(out, record.handovers);
    write_late(out, record.late);
    if (!record.running.empty()) out.member("running", record.running);
    if (record.sealed) out.member("sealed", true);
    return out.end_object().text();
}

Result<HorizonRecord> read_horizon(std::string_view text) {
    return read_record<HorizonRecord>("horizon", text, [](json::ObjectReader& reader, HorizonRecord& record) {
        reader.require("epoch");
        reader.require("horizon");
        reader.read("epoch", record.epoch);
        read_micros(reader, "horizon", record.horizon);
        read_micros(reader, "done", record.done);
        read_micros(reader, "floor", record.floor);
        reader.read("resumed", record.resumed);
        reader.read("revision", record.revision);
        record.handovers = read_handovers(reader);
        record.late = read_late(reader);
        reader.read("since", record.since);
        reader.read("running", record.running, kMany);
        reader.read("sealed", record.sealed);
    });
}

std::string write_registration(const Registration& registration) {
    json::Writer out;
    out.begin_object();
    write_member_fields(out, registration.member);
    out.member("version", registration.version).member("address", registration.address);
    if (registration.leaving) out.member("leaving", true);
    if (registration.revision > 0) out.member("revision", registration.revision);
    if (registration.remembers.epoch > 0) {
        out.key("remembers").begin_object();
        out.member("epoch", registration.remembers.epoch).member("at", micros(registration.remembers.at)).end_object();
    }
    return out.end_object().text();
}

Result<Registration> read_registration(std::string_view text) {
    return read_record<Registration>("registration", text, [](json::ObjectReader& reader, Registration& registration) {
        registration.member = read_member_fields(reader);
        reader.read("version", registration.version);
        reader.read("address", registration.address);
        reader.read("leaving", registration.leaving);
        reader.read("revision", registration.revision);
        if (const json::Value* remembers = reader.object("remembers")) {
            json::ObjectReader item(*remembers, reader.pointer("remembers"), reader.faults());
            item.read("epoch", registration.remembers.epoch);
            read_micros(item, "at", registration.remembers.at);
        }
    });
}

std::optional<std::int64_t> read_revision(std::string_view text) {
    std::int64_t revision = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (error != std::errc{} || end != text.data() + text.size() || revision < 0) return std::nullopt;
    return revision;
}

}  // namespace cloudtask::ring
