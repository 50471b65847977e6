// MutantKeeper: see mutant_keeper.h.
#include "tests/sim/mutant_keeper.h"

#include <algorithm>
#include <utility>

#include "cloudtask/ring/allocation.h"

namespace cloudtask::sim {

namespace {

bool is_record(const std::string& path) { return path.find("/horizons/") != std::string::npos; }

class MutantKeeper final : public zk::Keeper {
  public:
    MutantKeeper(std::unique_ptr<zk::Keeper> inner, Mutation mutation) : inner_(std::move(inner)), mutation_(mutation) {}

    void create(std::string path, std::string data, zk::CreateMode mode, Callback<zk::Created> done) override {
        inner_->create(std::move(path), std::move(data), mode, std::move(done));
    }
    void get(std::string path, Watch watch, Callback<zk::Znode> done) override {
        if (mutation_ != Mutation::gainer_does_not_wait || !is_record(path)) {
            return inner_->get(std::move(path), std::move(watch), std::move(done));
        }
        inner_->get(std::move(path), std::move(watch), [this, done = std::move(done)](Result<zk::Znode> read) {
            if (read) read->data = handed_over(read->data);
            done(std::move(read));
        });
    }
    void exists(std::string path, Watch watch, Callback<zk::Stat> done) override {
        inner_->exists(std::move(path), std::move(watch), std::move(done));
    }
    void children(std::string path, Watch watch, Callback<zk::Children> done) override {
        inner_->children(std::move(path), std::move(watch), std::move(done));
    }
    void set(std::string path, std::string data, std::int32_t version, Callback<zk::Stat> done) override {
        if (mutation_ == Mutation::horizon_not_written && is_record(path)) data = without_raise(data);
        inner_->set(std::move(path), std::move(data), version, std::move(done));
    }
    void erase(std::string path, std::int32_t version, Callback<void> done) override {
        inner_->erase(std::move(path), version, std::move(done));
    }
    void multi(std::vector<zk::Op> ops, Callback<std::vector<zk::OpResult>> done) override {
        if (mutation_ == Mutation::departed_claimed_nothing) {
            for (auto& op : ops) {
                if (op.path.ends_with("/allocation") && op.kind != zk::Op::Kind::check) op.data = without_claims(op.data);
            }
        }
        inner_->multi(std::move(ops), std::move(done));
    }
    void sync(std::string path, Callback<void> done) override { inner_->sync(std::move(path), std::move(done)); }

    zk::SessionState state() const override { return inner_->state(); }
    std::int64_t session_id() const override { return inner_->session_id(); }
    void on_state(std::function<void(zk::SessionState)> handler) override { inner_->on_state(std::move(handler)); }
    void close(std::function<void()> done) override { inner_->close(std::move(done)); }

  private:
    // As if every epoch had been acknowledged long ago.
    static std::string handed_over(const std::string& data) {
        auto record = ring::read_horizon(data);
        if (!record) return data;
        record->handovers.insert(record->handovers.begin(), {1'000'000, record->done, record->revision});
        return ring::write_horizon(*record);
    }
    // The record keeps the horizon that it had first.
    std::string without_raise(const std::string& data) {
        auto record = ring::read_horizon(data);
        if (!record) return data;
        if (!first_horizon_) first_horizon_ = record->horizon;
        record->horizon = *first_horizon_;
        return ring::write_horizon(*record);
    }
    static std::string without_claims(const std::string& data) {
        auto allocation = ring::read_allocation(data);
        if (!allocation) return data;
        for (auto& departed : allocation->departed) departed.horizon = departed.done = std::min(departed.done, departed.horizon);
        return ring::write_allocation(*allocation);
    }

    std::unique_ptr<zk::Keeper> inner_;
    const Mutation mutation_;
    std::optional<Instant> first_horizon_;
};

}  // namespace

std::unique_ptr<zk::Keeper> make_mutant_keeper(std::unique_ptr<zk::Keeper> inner, Mutation mutation) {
    return std::make_unique<MutantKeeper>(std::move(inner), mutation);
}

const char* name_of(Mutation mutation) {
    switch (mutation) {
        case Mutation::none:
            return "none";
        case Mutation::horizon_not_written:
            return "horizon-not-written";
        case Mutation::gainer_does_not_wait:
            return "gainer-does-not-wait";
        case Mutation::departed_claimed_nothing:
            return "departed-claimed-nothing";
        case Mutation::journal_forgotten:
            return "journal-forgotten";
    }
    return "?";
}

}  // namespace cloudtask::sim
