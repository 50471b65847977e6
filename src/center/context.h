// Context: what every request handler may use. Filled by center.cpp (the owner of all parts) before the server listens; const after that.
//
// Everything in it may be used from any thread, `loop` only for post() and its clock.
#pragma once

#include "center/cluster_view.h"
#include "center/config.h"
#include "center/hooks.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

class Store;
class Auth;
class Metrics;
class PackageFiles;
class LogFiles;
class LogHub;
class CommandHub;
class RunMetrics;
class QuestionLine;
class SecretKeyFile;

struct Context {
    Store& store;
    ClusterSnapshot& cluster;
    Loop& loop;
    const Clock& clock;
    Random& random;           // any thread: SystemRandom
    Worker& worker;           // request handlers run here
    QuestionLine& questions;  // those that may take seconds are answered here
    Worker& slow_worker;  // those that hash passwords run here: few threads, so that logins exhaust neither memory nor the other workers
    const Options& options;
    const Hooks& hooks;
    Metrics& metrics;
    Auth& auth;
    PackageFiles& packages;

    // Parts of the node protocol and of runs; null in tests of other routes.
    LogFiles* log_files = nullptr;
    LogHub* log_hub = nullptr;
    CommandHub* command_hub = nullptr;
    RunMetrics* run_metrics = nullptr;
    SecretKeyFile* secret_keys = nullptr;
};

}  // namespace cloudtask::center
