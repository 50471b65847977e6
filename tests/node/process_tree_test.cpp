// Who belongs to a run, on made-up process tables.
#include <catch2/catch.hpp>

#include "node/process/tree.h"

namespace cloudtask::node {
namespace {

std::vector<pid_t> pids(const std::vector<ProcessStat>& processes) {
    std::vector<pid_t> numbers;
    for (const ProcessStat& process : processes) numbers.push_back(process.pid);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

ProcessStat process(pid_t pid, pid_t parent, pid_t group, pid_t session, char state = 'S', std::uint64_t start_time = 100) {
    return {pid, parent, group, session, state, start_time, {}};
}

constexpr pid_t kNode = 2'000'000'001;  // no real process has such numbers
constexpr pid_t kFirst = kNode + 1;

TEST_CASE("a run's tree is its session, its group, its orphans, and their descendants") {
    const std::vector<ProcessStat> table = {
        process(kNode, 1, kNode, kNode),
        process(kFirst, kNode, kFirst, kFirst),
        process(kFirst + 1, kFirst, kFirst, kFirst),
        process(kFirst + 2, kFirst + 1, kFirst + 2, kFirst),      // another group, same session
        process(kFirst + 3, kFirst + 1, kFirst + 3, kFirst + 3),  // setsid, parent alive
        process(kFirst + 4, kFirst + 3, kFirst + 3, kFirst + 3),  // its child
        process(kFirst + 5, kNode, kFirst + 5, kFirst + 5),       // an orphan of ours
        process(kFirst + 6, kFirst + 5, kFirst + 5, kFirst + 5),  // its child
        process(kFirst + 7, kNode, kFirst + 7, kFirst + 7),       // another run
        process(kFirst + 8, kFirst, kFirst, kFirst, 'Z'),         // dead
    };
    TreeRoots roots{kFirst, 100, false, {kFirst + 5}, ""};
    CHECK(pids(members_of(roots, table)) ==
          std::vector<pid_t>{kFirst, kFirst + 1, kFirst + 2, kFirst + 3, kFirst + 4, kFirst + 5, kFirst + 6});
}

TEST_CASE("a process that got the number of a run's first process is a stranger, with its group") {
    const std::vector<ProcessStat> table = {
        process(kFirst, 1, kFirst, kFirst, 'S', 200),
        process(kFirst + 1, kFirst, kFirst, kFirst, 'S', 201),
        process(kFirst + 5, kNode, kFirst + 5, kFirst + 5),
    };
    CHECK(pids(members_of({kFirst, 100, false, {}, ""}, table)).empty());
    CHECK(pids(members_of({kFirst, 200, true, {}, ""}, table)).empty());
    CHECK(pids(members_of({kFirst, 200, true, {kFirst + 5}, ""}, table)) == std::vector<pid_t>{kFirst + 5});
    CHECK(pids(members_of({kFirst, 200, false, {}, ""}, table)) == std::vector<pid_t>{kFirst, kFirst + 1});
}

TEST_CASE("/proc/<pid>/stat is read whatever the program's name") {
    const auto stat = parse_stat("42 (a) (b c) d) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 11 12\n");
    REQUIRE(stat);
    CHECK(stat->pid == 42);
    CHECK(stat->state == 'S');
    CHECK(stat->parent == 7);
    CHECK(stat->group == 42);
    CHECK(stat->session == 41);
    CHECK(stat->start_time == 987654);
    CHECK_FALSE(stat->wait_status);
    const auto dead = parse_stat("42 (x) Z 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 1280\n");
    REQUIRE(dead);
    CHECK(dead->wait_status == 1280);
    CHECK_FALSE(parse_stat(""));
    CHECK_FALSE(parse_stat("42 (x"));
    CHECK_FALSE(parse_stat("42 (x) S 1 2"));
}

}  // namespace
}  // namespace cloudtask::node
