// Runs a real loop on the test thread until a condition holds, and brings expiry about through a second handle of the same session.
#include "tests/contract/real_harness.h"

#include <atomic>

namespace cloudtask::test {

namespace {

constexpr auto kPatience = std::chrono::seconds{60};
constexpr Duration kLookInterval = std::chrono::milliseconds{2};

ZookeeperServer& shared_server() {
    static ZookeeperServer server;
    return server;
}

std::string new_chroot() {
    static std::atomic<int> number{0};
    return "/test-" + std::to_string(++number);
}

}  // namespace

RealHarness::RealHarness() : RealHarness(shared_server().address()) {}

RealHarness::RealHarness(std::string servers) : loop_(std::make_unique<AsioLoop>()), worker_(std::make_shared<ThreadWorker>("zk-test")) {
    options_.servers = std::move(servers);
    options_.chroot = new_chroot();
    options_.session_timeout = std::chrono::seconds{2};
}

RealHarness::~RealHarness() { worker_.reset(); }

std::unique_ptr<zk::Session> RealHarness::open(const zk::SessionOptions& options) {
    return std::make_unique<zk::Session>(*loop_, worker_, options);
}

void RealHarness::expire(zk::Keeper& keeper) {
    const auto ended = zk::end_session(options_.servers, dynamic_cast<zk::Session&>(keeper).identity(), std::chrono::seconds{10});
    if (!ended) FAIL(ended.error().message);
}

bool RealHarness::pump_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    bool holds = condition();
    Timer timer;
    std::function<void()> look = [&] {
        holds = condition();
        if (holds || std::chrono::steady_clock::now() > deadline) {
            loop_->stop();
        } else {
            timer = loop_->after(kLookInterval, look);
        }
    };
    if (holds) return true;
    loop_->post(look);
    loop_->run();
    return holds;
}

}  // namespace cloudtask::test
