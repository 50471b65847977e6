// Cordon: see cordon.h.
#include "node/cordon.h"

#include <string>

#include "cloudtask/core/log.h"

namespace cloudtask::node {

namespace {

constexpr Duration kLook = std::chrono::milliseconds{100};  // how often it is looked whether everything is handed over

}  // namespace

struct Cordon::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& a_loop, Disk& a_disk, Coordinator& a_coordinator) : loop(a_loop), disk(a_disk), coordinator(a_coordinator) {}

    Loop& loop;
    Disk& disk;
    Coordinator& coordinator;

    std::string command;  // of the wish that holds; empty: none came since the start
    bool wanted = false;
    bool saved = false;     // the wish is on disk
    bool reported = false;  // and its report
    bool writing = false;   // either of them is on its way there
    Timer look;

    void handle(const Command& next) {
        if (next.id != command) {
            command = next.id;
            wanted = next.kind == Command::Kind::cordon;
            saved = reported = writing = false;
            coordinator.set_cordoned(wanted);
        }
        proceed();
    }

    void proceed() {
        look.cancel();
        if (writing || reported) return;
        if (!saved) {
            Batch batch;
            batch.cordoned = wanted;
            return write(std::move(batch), saved);
        }
        if (wanted && !coordinator.handed_over()) {
            look = loop.after(kLook, [this] { proceed(); });
            return;
        }
        Batch batch;
        batch.reports.push_back(command_report(coordinator.incarnation(), command, true));
        write(std::move(batch), reported);
    }

    // A write that fails is tried again when the center delivers the command again.
    void write(Batch batch, bool& done) {
        writing = true;
        disk.commit(std::move(batch), [weak = weak_from_this(), id = command, &done](const Result<>& written) {
            const auto self = weak.lock();
            if (!self || self->command != id) return;
            self->writing = false;
            done = written.has_value();
            if (done) return self->proceed();
            log::error("that this node is {} cannot be kept: {}", self->wanted ? "cordoned" : "not cordoned", written.error().message);
        });
    }
};

Cordon::Cordon(Loop& loop, Disk& disk, Coordinator& coordinator) : impl_(std::make_shared<Impl>(loop, disk, coordinator)) {}

Cordon::~Cordon() { impl_->look.cancel(); }

void Cordon::handle(const Command& command) {
    impl_->loop.assert_on_loop();
    impl_->handle(command);
}

}  // namespace cloudtask::node
