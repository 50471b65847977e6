// FaultyKeeper: connection_loss before or after the operation, by chance. Lives on the loop; keeps no state of its own but the Random.
#include "cloudtask/zk/faulty_keeper.h"

#include <utility>

namespace cloudtask::zk {

namespace {

class FaultyKeeper final : public Keeper {
  public:
    FaultyKeeper(Loop& loop, std::unique_ptr<Keeper> inner, Random& random, FaultRates rates)
        : loop_(loop), inner_(std::move(inner)), random_(random), rates_(rates) {}

    ~FaultyKeeper() override { *gone_ = true; }

    void create(std::string path, std::string data, CreateMode mode, Callback<Created> done) override {
        if (Callback<Created> call = dice(std::move(done))) inner_->create(std::move(path), std::move(data), mode, std::move(call));
    }
    void get(std::string path, Watch watch, Callback<Znode> done) override {
        read(std::move(watch), std::move(done),
             [&](Watch out, Callback<Znode> call) { inner_->get(std::move(path), std::move(out), std::move(call)); });
    }
    void exists(std::string path, Watch watch, Callback<Stat> done) override {
        read(std::move(watch), std::move(done),
             [&](Watch out, Callback<Stat> call) { inner_->exists(std::move(path), std::move(out), std::move(call)); });
    }
    void children(std::string path, Watch watch, Callback<Children> done) override {
        read(std::move(watch), std::move(done),
             [&](Watch out, Callback<Children> call) { inner_->children(std::move(path), std::move(out), std::move(call)); });
    }
    void set(std::string path, std::string data, std::int32_t version, Callback<Stat> done) override {
        if (Callback<Stat> call = dice(std::move(done))) inner_->set(std::move(path), std::move(data), version, std::move(call));
    }
    void erase(std::string path, std::int32_t version, Callback<void> done) override {
        if (Callback<void> call = dice(std::move(done))) inner_->erase(std::move(path), version, std::move(call));
    }
    void multi(std::vector<Op> ops, Callback<std::vector<OpResult>> done) override {
        if (Callback<std::vector<OpResult>> call = dice(std::move(done))) inner_->multi(std::move(ops), std::move(call));
    }
    void sync(std::string path, Callback<void> done) override {
        if (Callback<void> call = dice(std::move(done))) inner_->sync(std::move(path), std::move(call));
    }

    SessionState state() const override { return inner_->state(); }
    std::int64_t session_id() const override { return inner_->session_id(); }
    void on_state(std::function<void(SessionState)> handler) override { inner_->on_state(std::move(handler)); }
    void close(std::function<void()> done) override {
        *gone_ = true;
        inner_->close(std::move(done));
    }

  private:
    static Error lost() { return Error{Errc::connection_loss, "contact was lost (an injected fault)"}; }

    // The callback to hand on; empty when the call has failed already, before the operation.
    template <class T>
    Callback<T> dice(Callback<T> done) {
        // Faults are of a session in contact; what fails anyway is left alone.
        if (inner_->state() != SessionState::connected) return done;
        const std::uint64_t roll = random_.below(1000);
        if (roll < rates_.before) {
            loop_.post([gone = gone_, done = std::move(done)] {
                done(tl::unexpected<Error>(*gone ? Error{Errc::closing, "the session is being closed"} : lost()));
            });
            return {};
        }
        if (roll >= rates_.before + rates_.after) return done;
        return [done = std::move(done)](Result<T> result) {
            if (!result && result.error().is(Errc::closing)) return done(std::move(result));
            done(tl::unexpected<Error>(lost()));
        };
    }

    // As the client library does: a read that fails by loss of contact leaves no watch behind.
    template <class T, class Call>
    void read(Watch watch, Callback<T> done, Call call) {
        auto dropped = std::make_shared<bool>(false);
        Callback<T> diced = dice<T>([dropped, done = std::move(done)](Result<T> result) {
            *dropped = !result && result.error().is(Errc::connection_loss);
            done(std::move(result));
        });
        if (!diced) return;
        Watch guarded;
        if (watch) {
            guarded = [dropped, watch = std::move(watch)](WatchEvent event) {
                if (!*dropped) watch(std::move(event));
            };
        }
        call(std::move(guarded), std::move(diced));
    }

    Loop& loop_;
    std::unique_ptr<Keeper> inner_;
    Random& random_;
    FaultRates rates_;
    std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);
};

}  // namespace

std::unique_ptr<Keeper> make_faulty_keeper(Loop& loop, std::unique_ptr<Keeper> inner, Random& random, FaultRates rates) {
    return std::make_unique<FaultyKeeper>(loop, std::move(inner), random, rates);
}

}  // namespace cloudtask::zk
