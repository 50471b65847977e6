// Addresses and networks of HTTP calls: see networks.h. Pure; any thread.
#include "cloudtask/task/networks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "cloudtask/core/check.h"

namespace cloudtask::task {

namespace {

constexpr int kAllBits = 128;
constexpr std::size_t kMostNetworks = 100;  // a runtime allows, and denies
constexpr int kMappedBits = 96;             // of the prefix that IPv4 addresses are kept below

struct KnownNetwork {
    Network network;
    std::string_view what;  // empty: may be connected to
};

// IANA's registries of special-purpose addresses (RFC 6890), multicast, and where clouds answer questions about the machine.
const std::vector<KnownNetwork>& known_networks() {
    static const std::vector<KnownNetwork> kList = [] {
        constexpr std::pair<std::string_view, std::string_view> kTexts[] = {
            {"0.0.0.0/0", ""},
            {"0.0.0.0/8", "this machine itself"},
            {"10.0.0.0/8", "private"},
            {"100.64.0.0/10", "shared by a provider"},
            {"127.0.0.0/8", "loopback"},
            {"169.254.0.0/16", "link-local"},
            {"172.16.0.0/12", "private"},
            {"192.0.0.0/24", "set apart for protocols"},
            {"192.0.2.0/24", "for documentation"},
            {"192.88.99.0/24", "a relay that is no more"},
            {"192.168.0.0/16", "private"},
            {"198.18.0.0/15", "for measurements"},
            {"198.51.100.0/24", "for documentation"},
            {"203.0.113.0/24", "for documentation"},
            {"224.0.0.0/4", "multicast"},
            {"240.0.0.0/4", "reserved"},
            {"169.254.169.254", "a metadata service"},
            {"169.254.170.2", "a metadata service"},
            {"100.100.100.200", "a metadata service"},
            {"168.63.129.16", "a metadata service"},
            {"192.0.0.192", "a metadata service"},
            {"::/0", "no public address"},
            {"::1", "loopback"},
            {"64:ff9b::/96", ""},
            {"fc00::/7", "private"},
            {"fe80::/10", "link-local"},
            {"ff00::/8", "multicast"},
            {"fd00:ec2::254", "a metadata service"},
            {"fd20:ce::254", "a metadata service"},
            {"2000::/3", ""},
            {"2001::/23", "set apart for protocols"},
            {"2001:db8::/32", "for documentation"},
            {"2002::/16", ""},
            {"3fff::/20", "for documentation"},
        };
        std::vector<KnownNetwork> list;
        for (const auto& [text, what] : kTexts) {
            const auto network = Network::parse(text);
            CLOUDTASK_CHECK(network.has_value(), "a built-in network is not one");
            list.push_back({*network, what});
        }
        return list;
    }();
    return kList;
}

// The longest prefix among those that have the address; -1 when none does.
int longest_prefix(const std::vector<Network>& networks, const IpAddress& address, const Network** which) {
    int best = -1;
    for (const Network& network : networks) {
        if (network.prefix() > best && network.contains(address)) {
            best = network.prefix();
            *which = &network;
        }
    }
    return best;
}

std::vector<Network> read_networks(json::ObjectReader& reader, std::string_view name) {
    std::vector<std::string> texts;
    std::vector<Network> networks;
    if (!reader.read(name, texts, {.max = kMostNetworks, .item = {.min = 1, .max = 64}})) return networks;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (const auto network = Network::parse(texts[i])) {
            networks.push_back(*network);
        } else {
            reader.faults().add(pointer_to(reader.pointer(name), i), network.error().message,
                                "a network such as 10.1.0.0/16, or an address");
        }
    }
    return networks;
}

void write_networks(json::Writer& out, std::string_view name, const std::vector<Network>& networks) {
    if (networks.empty()) return;
    out.key(name).begin_array();
    for (const Network& network : networks) out.value(network.to_string());
    out.end_array();
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string copy{text};
    IpAddress out;
    if (copy.find('\0') == std::string::npos) {
        if (::inet_pton(AF_INET6, copy.c_str(), out.bytes_.data()) == 1) return out;
        out.bytes_[10] = out.bytes_[11] = 0xff;
        if (::inet_pton(AF_INET, copy.c_str(), out.bytes_.data() + 12) == 1) return out;
    }
    return fail(Errc::invalid_argument, "'{}' is not an IP address", text.substr(0, 64));
}

std::optional<IpAddress> IpAddress::from(const sockaddr& address, std::size_t length) {
    IpAddress out;
    if (address.sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        out.bytes_[10] = out.bytes_[11] = 0xff;
        std::memcpy(out.bytes_.data() + 12, &v4.sin_addr, 4);
        return out;
    }
    if (address.sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        std::memcpy(out.bytes_.data(), &v6.sin6_addr, 16);
        return out;
    }
    return std::nullopt;
}

bool IpAddress::is_v4() const {
    return std::all_of(bytes_.begin(), bytes_.begin() + 10, [](std::uint8_t byte) { return byte == 0; }) && bytes_[10] == 0xff &&
           bytes_[11] == 0xff;
}

std::optional<IpAddress> IpAddress::embedded() const {
    static const Network kNat64 = *Network::parse("64:ff9b::/96");
    static const Network k6to4 = *Network::parse("2002::/16");
    const bool nat64 = kNat64.contains(*this);
    if (!nat64 && !k6to4.contains(*this)) return std::nullopt;
    IpAddress out;
    out.bytes_[10] = out.bytes_[11] = 0xff;
    std::copy_n(bytes_.begin() + (nat64 ? 12 : 2), 4, out.bytes_.begin() + 12);
    return out;
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data() + (is_v4() ? 12 : 0), text.data(), text.size());
    return text.data();
}

Result<Network> Network::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return propagate(address);
    Network out;
    out.address_ = *address;
    if (slash == std::string_view::npos) return out;

    const int lost = address->is_v4() ? kMappedBits : 0;
    const std::string_view number = text.substr(slash + 1);
    int bits = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (error != std::errc{} || end != number.data() + number.size() || bits < 0 || bits > kAllBits - lost) {
        return fail(Errc::invalid_argument, "'{}' has no prefix length from 0 to {}", text.substr(0, 64), kAllBits - lost);
    }
    out.prefix_ = bits + lost;
    for (int bit = out.prefix_; bit < kAllBits; ++bit) {
        if ((address->bytes()[static_cast<std::size_t>(bit / 8)] >> (7 - bit % 8) & 1) != 0) {
            return fail(Errc::invalid_argument, "'{}' has an address inside of the network where its beginning belongs",
                        text.substr(0, 64));
        }
    }
    return out;
}

bool Network::contains(const IpAddress& address) const {
    const auto& own = address_.bytes();
    const auto& other = address.bytes();
    const auto whole = static_cast<std::size_t>(prefix_ / 8);
    if (!std::equal(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(whole), other.begin())) return false;
    const int rest = prefix_ % 8;
    return rest == 0 || ((own[whole] ^ other[whole]) >> (8 - rest)) == 0;
}

std::string Network::to_string() const {
    if (prefix_ == kAllBits) return address_.to_string();
    return fmt::format("{}/{}", address_.to_string(), address_.is_v4() ? prefix_ - kMappedBits : prefix_);
}

NetworkRules::NetworkRules(std::vector<Network> allowed, std::vector<Network> denied)
    : allowed_(std::move(allowed)), denied_(std::move(denied)) {}

std::string NetworkRules::why_refused(const IpAddress& address) const {
    const Network* denial = nullptr;
    const Network* allowance = nullptr;
    const int denied = longest_prefix(denied_, address, &denial);
    const int allowed = longest_prefix(allowed_, address, &allowance);
    const KnownNetwork* base = nullptr;
    for (const KnownNetwork& entry : known_networks()) {
        if ((base == nullptr || entry.network.prefix() > base->network.prefix()) && entry.network.contains(address)) base = &entry;
    }
    CLOUDTASK_CHECK(base != nullptr, "an address is in no built-in network");

    if (denied >= 0 && denied >= allowed) {
        return fmt::format("{} is denied in this runtime ({})", address.to_string(), denial->to_string());
    }
    if (allowed < base->network.prefix() && !base->what.empty()) {
        return fmt::format("{} is {} ({})", address.to_string(), base->what, base->network.to_string());
    }
    if (const auto inner = address.embedded()) {
        if (const std::string why = why_refused(*inner); !why.empty()) return fmt::format("{} stands for {}", address.to_string(), why);
    }
    return {};
}

std::optional<NetworkRules> read_network_rules(const json::Value& value, const std::string& pointer, Faults& faults) {
    const std::size_t before = faults.list().size();
    json::ObjectReader reader{value, pointer, faults};
    std::vector<Network> allowed = read_networks(reader, "allow");
    std::vector<Network> denied = read_networks(reader, "deny");
    reader.finish();
    if (faults.list().size() != before) return std::nullopt;
    return NetworkRules(std::move(allowed), std::move(denied));
}

void write_network_rules(json::Writer& out, const NetworkRules& rules) {
    out.begin_object();
    write_networks(out, "allow", rules.allowed());
    write_networks(out, "deny", rules.denied());
    out.end_object();
}

}  // namespace cloudtask::task
