// Runs a fuzz target over the seeds of a folder and over mutations of them, without libFuzzer: replay FOLDER ROUNDS [SEED]. The seed of the
// mutations is printed; a failure leaves the input in the current folder.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

std::string g_input;  // what runs now, for the handler of abort

void keep_input(int) {
    if (std::FILE* file = std::fopen("fuzz-crash", "wb")) {
        std::fwrite(g_input.data(), 1, g_input.size(), file);
        std::fclose(file);
        std::fputs("fuzz: the input is in ./fuzz-crash\n", stderr);
    }
}

void run(std::string input) {
    g_input = std::move(input);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(g_input.data()), g_input.size());
}

std::string mutated(const std::vector<std::string>& seeds, std::mt19937_64& random) {
    const auto below = [&](std::size_t most) { return static_cast<std::size_t>(random() % std::max<std::size_t>(1, most)); };
    std::string text = seeds[below(seeds.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
        const std::string& other = seeds[below(seeds.size())];
        const std::size_t at = below(text.size() + 1);
        switch (below(5)) {
            case 0:
                if (at < text.size()) text[at] = static_cast<char>(random());
                break;
            case 1:
                text.insert(at, 1, static_cast<char>(' ' + below(95)));
                break;
            case 2:
                text.erase(at, 1 + below(8));
                break;
            case 3: {
                const std::size_t from = below(other.size());
                text.insert(at, other.substr(from, 1 + below(16)));
                break;
            }
            default: {
                const std::size_t from = below(other.size());
                text = text.substr(0, at) + other.substr(from);
            }
        }
    }
    return text;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "replay FOLDER ROUNDS [SEED]\n";
        return 2;
    }
    const std::uint64_t seed = argc > 3 ? std::stoull(argv[3]) : std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    std::signal(SIGABRT, keep_input);
    std::vector<std::string> seeds;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>{});
    }
    std::sort(seeds.begin(), seeds.end());
    if (seeds.empty()) {
        std::cerr << "replay: no seeds in " << argv[1] << '\n';
        return 1;
    }
    for (const std::string& text : seeds) run(text);
    std::mt19937_64 random{seed};
    for (int rounds = std::atoi(argv[2]); rounds > 0; --rounds) run(mutated(seeds, random));
    std::cout << seeds.size() << " seeds and " << argv[2] << " mutations" << std::endl;
    return 0;
}
