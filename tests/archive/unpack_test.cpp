// What is refused, and what comes out of what is not.
#include "archive_support.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include "cloudtask/archive/archive.h"

namespace cloudtask::archive::test {
namespace {

namespace fs = std::filesystem;

// Checks that the archive is refused by inspect() and unpack() alike, with `words` in the sentence, and that nothing lands beside it.
void refused(const std::vector<Item>& items, Errc code, const std::string& words, bool zip = false, Limits limits = {}) {
    TempFolder folder;
    const std::string name = zip ? "x.zip" : "x.tar.gz";
    write_archive(folder / name, items, zip);
    fs::create_directory(folder / "in");
    for (const Result<Summary>& result : {inspect(folder / name, name, limits), unpack(folder / name, name, folder / "in/tree", limits)}) {
        REQUIRE_FALSE(result);
        INFO(result.error().message);
        CHECK(result.error().is(code));
        CHECK(result.error().message.find(words) != std::string::npos);
        CHECK(result.error().message.find('\n') == std::string::npos);
    }
    CHECK(std::distance(fs::directory_iterator(folder / "in"), fs::directory_iterator{}) <= 1);
    CHECK(std::distance(fs::directory_iterator(folder / ""), fs::directory_iterator{}) == 2);
}

struct Hostile {
    std::string what;
    std::vector<Item> items;
    std::string words;
};

TEST_CASE("hostile tar archives are refused") {
    const Item ok{"ok", AE_IFREG, "fine"};
    const std::vector<Hostile> all = {
        {"absolute", {ok, {"/tmp/evil", AE_IFREG, "x"}}, "absolute"},
        {"climbs", {ok, {"../evil", AE_IFREG, "x"}}, "'..'"},
        {"climbs inside", {ok, {"a/../../evil", AE_IFREG, "x"}}, "'..'"},
        {"climbs but stays", {ok, {"a/../b", AE_IFREG, "x"}}, "'..'"},
        {"newline", {{"a\nb", AE_IFREG, "x"}}, "control character"},
        {"escape", {{"a\x1B[31m", AE_IFREG, "x"}}, "control character"},
        {"not UTF-8", {{"caf\xE9", AE_IFREG, "x"}}, "UTF-8"},
        {"backslash", {{"..\\evil", AE_IFREG, "x"}}, "backslash"},
        {"drive", {{"C:evil", AE_IFREG, "x"}}, "drive letter"},
        {"link outside", {ok, {"l", AE_IFLNK, "../x"}}, "outside"},
        {"link outside from a folder", {ok, {"a/l", AE_IFLNK, "../../x"}}, "outside"},
        {"link absolute", {ok, {"l", AE_IFLNK, "/etc/passwd"}}, "outside"},
        {"link climbs through a link", {ok, {"x/y/z", AE_IFLNK, "../.."}, {"t", AE_IFLNK, "x/y/z/../.."}}, "in the middle"},
        {"file behind a link", {ok, {"d", AE_IFLNK, "."}, {"d/evil", AE_IFREG, "x"}}, "behind 'd'"},
        {"folder behind a link", {ok, {"d", AE_IFLNK, "."}, {"d/e", AE_IFDIR}}, "behind 'd'"},
        {"file behind a file", {ok, {"ok/evil", AE_IFREG, "x"}}, "behind 'ok'"},
        {"folder becomes a link", {ok, {"d", AE_IFDIR}, {"d", AE_IFLNK, "ok"}}, "twice"},
        {"implied folder becomes a link", {{"d/f", AE_IFREG, "x"}, {"d", AE_IFLNK, "ok"}}, "twice"},
        {"link becomes a folder", {ok, {"d", AE_IFLNK, "ok"}, {"d", AE_IFDIR}}, "twice"},
        {"file twice", {ok, {"./ok", AE_IFREG, "other"}}, "twice"},
        {"hard link outside", {ok, {"h", 0, "../x"}}, "'..'"},
        {"hard link absolute", {ok, {"h", 0, "/etc/passwd"}}, "absolute"},
        {"hard link to nothing", {ok, {"h", 0, "missing"}}, "names no file before it"},
        {"hard link to a link", {ok, {"l", AE_IFLNK, "ok"}, {"h", 0, "l"}}, "names no file before it"},
        {"device", {ok, {"null", AE_IFCHR}}, "device"},
        {"block device", {ok, {"disk", AE_IFBLK}}, "device"},
        {"pipe", {ok, {"pipe", AE_IFIFO}}, "device"},
        {"no file", {{"d", AE_IFDIR}, {"d/e", AE_IFDIR}}, "no file"},
        {"nothing", {}, ""},
        {"file as the top", {{"./", AE_IFLNK, "ok"}}, "no name"},
        {"deep", {{"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/f", AE_IFREG, "x"}}, "deep"},
        {"long name", {{std::string(300, 'n'), AE_IFREG, "x"}}, "too long"},
    };
    for (const Hostile& hostile : all) {
        INFO(hostile.what);
        refused(hostile.items, Errc::invalid_argument, hostile.words);
    }
}

TEST_CASE("hostile zip archives are refused") {
    const Item ok{"ok", AE_IFREG, "fine"};
    refused({ok, {"/tmp/evil", AE_IFREG, "x"}}, Errc::invalid_argument, "absolute", true);
    refused({ok, {"../evil", AE_IFREG, "x"}}, Errc::invalid_argument, "'..'", true);
    refused({ok, {"l", AE_IFLNK, "/etc"}}, Errc::invalid_argument, "outside", true);
    refused({ok, {"l", AE_IFLNK, "d"}, {"l/evil", AE_IFREG, "x"}}, Errc::invalid_argument, "behind", true);
    refused({}, Errc::invalid_argument, "", true);

    TempFolder folder;
    write_archive(folder / "x.zip", {ok}, true, "secret");
    const Result<Summary> encrypted = inspect(folder / "x.zip", "x.zip");
    REQUIRE_FALSE(encrypted);
    CHECK(encrypted.error().message.find("encrypted") != std::string::npos);
}

TEST_CASE("bombs are refused") {
    const bool zip = GENERATE(false, true);
    Limits few, small, tight;
    few.max_entries = 3;
    small.max_bytes = 1000;
    tight.ratio_from = 1 << 20;
    const Item kilobyte{"k", AE_IFREG, std::string(1000, 'k')};
    refused({{"1", AE_IFREG, "x"}, {"2", AE_IFREG, "x"}, {"3", AE_IFREG, "x"}, {"4", AE_IFREG, "x"}}, Errc::too_large, "entries", zip, few);
    refused({kilobyte, {"one more", AE_IFREG, "x"}}, Errc::too_large, "1000B", zip, small);
    refused({{"zeros", AE_IFREG, std::string(4 << 20, '\0')}}, Errc::too_large, "times its size", zip, tight);
    // Copies of one file by hard links are files of their own in a run's folder.
    if (!zip) refused({kilobyte, {"h", 0, "k"}}, Errc::too_large, "1000B", zip, small);
}

TEST_CASE("damaged archives are refused") {
    TempFolder folder;
    std::string noise;  // does not pack, so that the middle of the archive is the middle of the file
    for (std::uint32_t x = 1; noise.size() < 100'000; x = x * 1664525 + 1013904223) noise += static_cast<char>(x >> 24);
    for (const bool zip : {false, true}) {
        const std::string name = zip ? "x.zip" : "x.tar.gz";
        const std::string path = folder / name;
        INFO(name);
        write_archive(path, {{"f", AE_IFREG, noise}, {"g", AE_IFREG, "x"}}, zip);
        const std::string bytes = read_bytes(path);
        REQUIRE(inspect(path, name));
        write_bytes(path, bytes.substr(0, bytes.size() / 2));
        CHECK_FALSE(inspect(path, name));
        // libarchive does not look at gzip's checksum; there only the SHA-256 of the whole tells a change in the content.
        if (!zip) continue;
        std::string flipped = bytes;
        flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 0x55);
        write_bytes(path, flipped);
        CHECK_FALSE(inspect(path, name));
    }
}

TEST_CASE("a good archive comes out whole") {
    const bool zip = GENERATE(false, true);
    TempFolder folder;
    std::vector<Item> items = {
        {"./", AE_IFDIR, "", 0755},
        {"run.sh", AE_IFREG, "#!/bin/sh\necho hi\n", 04755},
        {"data/", AE_IFDIR, "", 0555},
        {"data/größe.txt", AE_IFREG, std::string(300'000, 'z'), 0444},
        {"data/deep/er/empty", AE_IFREG, "", 0},
        {"latest", AE_IFLNK, "data/größe.txt"},
        {"data/deep/up", AE_IFLNK, "../../run.sh"},
    };
    if (!zip) items.push_back({"hard", 0, "run.sh"});
    const std::string name = zip ? "x.zip" : "x.TGZ";
    write_archive(folder / name, items, zip);

    const Result<Summary> summary = unpack(folder / name, name, folder / "tree");
    INFO((summary ? "" : summary.error().message));
    REQUIRE(summary);
    CHECK(summary->format == (zip ? Format::zip : Format::tar_gz));
    CHECK(summary->entries == items.size());
    const Result<Summary> inspected = inspect(folder / name, "");
    REQUIRE(inspected);
    CHECK(inspected->bytes == summary->bytes);

    CHECK(read_bytes(folder / "tree/run.sh") == "#!/bin/sh\necho hi\n");
    struct stat status{};
    REQUIRE(::stat((folder / "tree/run.sh").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0755);  // no setuid
    REQUIRE(::stat((folder / "tree/data/deep/er/empty").c_str(), &status) == 0);
    CHECK((status.st_mode & 0600) == 0600);
    CHECK(read_bytes(folder / "tree/latest").size() == 300'000);
    CHECK(read_bytes(folder / "tree/data/deep/up") == "#!/bin/sh\necho hi\n");
    if (!zip) CHECK(read_bytes(folder / "tree/hard") == "#!/bin/sh\necho hi\n");
}

TEST_CASE("a script is one executable file under its name") {
    TempFolder folder;
    write_bytes(folder / "upload", "#!/bin/sh\n");
    const Result<Summary> summary = unpack(folder / "upload", "job.sh", folder / "tree");
    REQUIRE(summary);
    CHECK(summary->format == Format::script);
    CHECK(summary->bytes == 10);
    struct stat status{};
    REQUIRE(::stat((folder / "tree/job.sh").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0755);
    REQUIRE(unpack(folder / "upload", "", folder / "unnamed"));
    CHECK(fs::exists(folder / "unnamed/script"));
    for (const std::string name : {"../x", "a/b", "..", "a\nb", "/etc/x"}) CHECK_FALSE(inspect(folder / "upload", name));
}

TEST_CASE("the format follows from content and name together") {
    TempFolder folder;
    write_archive(folder / "tar", {{"f", AE_IFREG, "x"}});
    write_archive(folder / "zip", {{"f", AE_IFREG, "x"}}, true);
    write_bytes(folder / "script", "echo\n");
    write_bytes(folder / "empty", "");
    write_bytes(folder / "xz", std::string_view{"\xFD\x37zXZ\0data", 10});
    CHECK(detect(folder / "tar", "a.tar.gz") == Format::tar_gz);
    CHECK(detect(folder / "tar", "A.TGZ") == Format::tar_gz);
    CHECK(detect(folder / "zip", "a.zip") == Format::zip);
    CHECK(detect(folder / "script", "a.py") == Format::script);
    CHECK_FALSE(detect(folder / "tar", "a.zip"));
    CHECK_FALSE(detect(folder / "tar", "a.sh"));
    CHECK_FALSE(detect(folder / "zip", "a.tar.gz"));
    CHECK_FALSE(detect(folder / "script", "a.zip"));
    CHECK_FALSE(detect(folder / "script", "a.tar.gz"));
    CHECK_FALSE(detect(folder / "empty", "a.sh"));
    CHECK_FALSE(detect(folder / "xz", "a.tar.xz"));
    CHECK(detect(folder / "missing", "a.sh").error().is(std::make_error_code(std::errc::no_such_file_or_directory)));
}

}  // namespace
}  // namespace cloudtask::archive::test
