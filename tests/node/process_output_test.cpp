// Bounded output and the log view.
#include "process_support.h"

#include <sys/stat.h>

namespace cloudtask::node::test {
namespace {

using namespace std::chrono_literals;

std::string whole_view(const std::string& path, const LogShape& shape, std::size_t step) {
    std::string text;
    for (;;) {
        const Result<std::string> part = read_log(path, shape, text.size(), step);
        REQUIRE(part);
        REQUIRE(part->size() <= step);
        if (part->empty()) return text;
        text += *part;
    }
}

TEST_CASE("the log view is the file, or head, marker and tail") {
    TempFolder folder;
    const std::string path = folder / "stdout";
    const std::size_t step = GENERATE(1, 3, 7, 1000);
    write_file(path, "0123456789abcdef");

    CHECK(whole_view(path, {16, 16, true}, step) == "0123456789abcdef");
    CHECK(whole_view(path, {15, 16, true}, step) == "0123456\n[cloudtask: 1 bytes cut]\n89abcdef");
    CHECK(whole_view(path, {4, 16, true}, step) == "01\n[cloudtask: 12 bytes cut]\nef");
    CHECK(whole_view(path, {0, 16, true}, step) == "\n[cloudtask: 16 bytes cut]\n");
    CHECK(whole_view(path, {100, 16, false}, step) == "0123456789abcdef");
    CHECK(whole_view(path, {20, 16, false}, step) == "0123456789");  // the head, as long as a cut may follow
    CHECK(whole_view(path, {4, 16, false}, step) == "01");
    CHECK(whole_view(folder / "missing", {100, 16, true}, step).empty());
}

TEST_CASE("a flood of output keeps head and tail, and little disk") {
    Bench bench;
    constexpr std::uint64_t kLimit = 1 << 20;
    constexpr std::uint64_t kFlood = 100'000'000;
    LaunchSpec spec = bench.shell("a", "echo first line; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last line");
    spec.output_limit = kLimit;
    const Ended ended = bench.run(std::move(spec));
    CHECK(ended.exit_code == 0);
    CHECK(ended.output_truncated);
    CHECK(ended.stdout_bytes == kFlood + 22);

    const std::string path = output_path(bench.folder / "a", Stream::out);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 < kLimit + (256 << 10));

    const LogShape shape{kLimit, ended.stdout_bytes, true};
    const std::string view = whole_view(path, shape, 64 << 10);
    const std::string marker = fmt::format("\n[cloudtask: {} bytes cut]\n", ended.stdout_bytes - kLimit);
    REQUIRE(view.size() == kLimit + marker.size());
    CHECK(view.starts_with("first line\nxxxx"));
    CHECK(view.ends_with("xxxx\nlast line\n"));
    CHECK(view.substr(kLimit / 2, marker.size()) == marker);
    CHECK(view.find('\0') == std::string::npos);
}

TEST_CASE("a running run tells how much of its log can be read") {
    Bench bench;
    std::map<std::string, LogProgress> told;
    bench.supervisor->on_output([&told](const std::string& id, const LogProgress& progress) { told[id] = progress; });
    LaunchSpec spec = bench.shell("a", "echo 12345; echo 1 >&2; until [ -e go ]; do sleep 0.01; done; echo 67890; sleep 1000");
    spec.output_limit = 20;
    REQUIRE(bench.start(std::move(spec)));
    CHECK(run_until(bench.loop, [&] { return told["a"] == LogProgress{6, 2}; }));
    CHECK(bench.supervisor->progress("a") == LogProgress{6, 2});
    write_file(bench.folder / "a/work/go", "");
    CHECK(run_until(bench.loop, [&] { return told["a"] == LogProgress{10, 2}; }));  // the head and no more
    CHECK_FALSE(bench.supervisor->progress("b"));
    bench.supervisor->stop("a");
    REQUIRE(bench.wait("a"));
    CHECK_FALSE(bench.ended["a"].output_truncated);
    CHECK(bench.ended["a"].stdout_bytes == 12);
}

TEST_CASE("an output file that its writer shortens is followed") {
    TempFolder folder;
    const std::string path = folder / "stdout";
    Result<OutputFile> file = OutputFile::open(path, 100);
    REQUIRE(file);
    write_file(path, "0123456789");
    CHECK(file->poll());
    CHECK_FALSE(file->poll());
    write_file(path, "01");
    CHECK_FALSE(file->poll());
    CHECK(file->shape(true).available() == 2);
}

}  // namespace
}  // namespace cloudtask::node::test
