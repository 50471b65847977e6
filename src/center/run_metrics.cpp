// Counters of runs over prometheus-cpp: see run_metrics.h.
#include "center/run_metrics.h"

#include <array>
#include <limits>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "center/commands_store.h"
#include "center/ingest_store.h"
#include "center/mail_store.h"
#include "center/metrics.h"
#include "center/store.h"

namespace cloudtask::center {

namespace {

constexpr std::array kStates{task::RunState::pending,   task::RunState::running, task::RunState::succeeded, task::RunState::failed,
                             task::RunState::timed_out, task::RunState::stopped, task::RunState::lost,      task::RunState::skipped};
constexpr std::array<const char*, 5> kMailOutcomes{"queued", "sent", "retried", "failed", "nobody"};

prometheus::Family<prometheus::Counter>& family(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

}  // namespace

struct RunMetrics::Impl {
    explicit Impl(prometheus::Registry& registry) {
        auto& reports = family(registry, "cloudtask_reports_total", "Reports taken from nodes, by outcome.");
        applied = &reports.Add({{"outcome", "applied"}});
        repeated = &reports.Add({{"outcome", "repeated"}});
        dead = &reports.Add({{"outcome", "dead_letter"}});
        late = &reports.Add({{"outcome", "late"}});
        auto& runs = family(registry, "cloudtask_run_states_total", "States that runs have reached.");
        for (std::size_t at = 0; at < kStates.size(); ++at) states[at] = &runs.Add({{"state", std::string(task::to_string(kStates[at]))}});
        bytes = &family(registry, "cloudtask_log_bytes_total", "Bytes of logs that were stored.").Add({});
        dropped = &family(registry, "cloudtask_log_dropped_bytes_total", "Bytes of logs that the disk did not take.").Add({});
        auto& mails = family(registry, "cloudtask_mails_total", "Mails, by outcome; nobody: a failure of which nobody is to be told.");
        for (std::size_t at = 0; at < kMailOutcomes.size(); ++at) outcomes[at] = &mails.Add({{"outcome", kMailOutcomes[at]}});
    }

    prometheus::Counter *applied, *repeated, *dead, *late, *bytes, *dropped;
    std::array<prometheus::Counter*, kStates.size()> states{};
    std::array<prometheus::Counter*, kMailOutcomes.size()> outcomes{};
};

RunMetrics::RunMetrics(Metrics& metrics) : impl_(std::make_unique<Impl>(metrics.registry())) {}
RunMetrics::~RunMetrics() = default;

void RunMetrics::reports(std::uint64_t applied, std::uint64_t repeated) {
    impl_->applied->Increment(static_cast<double>(applied));
    impl_->repeated->Increment(static_cast<double>(repeated));
}
void RunMetrics::dead_letter() { impl_->dead->Increment(); }
void RunMetrics::run_became(task::RunState state) {
    for (std::size_t at = 0; at < kStates.size(); ++at) {
        if (kStates[at] == state) impl_->states[at]->Increment();
    }
}
void RunMetrics::late_report() { impl_->late->Increment(); }
void RunMetrics::log_bytes(std::uint64_t bytes) { impl_->bytes->Increment(static_cast<double>(bytes)); }
void RunMetrics::log_dropped(std::uint64_t bytes) { impl_->dropped->Increment(static_cast<double>(bytes)); }
void RunMetrics::mail(MailOutcome outcome) { impl_->outcomes[static_cast<std::size_t>(outcome)]->Increment(); }

void add_queue_gauges(Metrics& metrics, Store& store) {
    const auto add = [&](const char* name, const char* help, long long (*count)(soci::session&)) {
        metrics.add_gauge(name, help, [&store, count] {
            double value = std::numeric_limits<double>::quiet_NaN();  // the database does not answer
            const auto read = store.read([&](soci::session& sql) -> Result<> {
                value = static_cast<double>(count(sql));
                return {};
            });
            return read ? value : std::numeric_limits<double>::quiet_NaN();
        });
    };
    add("cloudtask_commands_open", "Commands that their nodes have not reported.", count_open_commands);
    add("cloudtask_mails_waiting", "Mails that are not delivered yet.", count_waiting_mails);
    add("cloudtask_dead_letters", "Reports of nodes that could not be applied, and are kept.", count_dead_letters);
}

}  // namespace cloudtask::center
