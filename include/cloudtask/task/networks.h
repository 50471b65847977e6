// Which addresses an HTTP call may connect to. By default those of the public internet: what is loopback, private, link-local, the
// machine's own metadata service or otherwise not for everybody is refused. A runtime adds networks of its own to either side.
//
// Asked with the address that a socket is about to be connected to, never with a name. An address that carries an IPv4 address inside
// (mapped, NAT64, 6to4) has to be allowed as both.
//
// Pure: no I/O, no look-up of names. Value types; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/core/result.h"

struct sockaddr;

namespace cloudtask::task {

// IPv4 addresses are kept as ::ffff:0:0/96 (RFC 4291, section 2.5.5.2).
class IpAddress {
  public:
    // "192.0.2.1", "2001:db8::1". Errors: invalid_argument.
    static Result<IpAddress> parse(std::string_view text);
    // Empty for what is neither AF_INET nor AF_INET6, or too short.
    static std::optional<IpAddress> from(const sockaddr& address, std::size_t length);

    const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
    bool is_v4() const;
    // The IPv4 address that an IPv6 one carries and that a packet to it would reach: NAT64 (RFC 6052), 6to4 (RFC 3056).
    std::optional<IpAddress> embedded() const;
    std::string to_string() const;
    friend bool operator==(const IpAddress&, const IpAddress&) = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
};

class Network {
  public:
    // "10.0.0.0/8", "fd00::/8", "192.0.2.1" (that address alone). Errors: invalid_argument; also for bits beyond the prefix, which are
    // a slip of the pen more often than not.
    static Result<Network> parse(std::string_view text);

    bool contains(const IpAddress& address) const;
    int prefix() const { return prefix_; }  // of 128 bits
    std::string to_string() const;
    friend bool operator==(const Network&, const Network&) = default;

  private:
    IpAddress address_;
    int prefix_ = 128;
};

// The smallest network that has the address decides; of two of the same size, a denial of the runtime goes before its allowance, and that
// before what is built in. So a runtime that allows 169.254.0.0/16 has not thereby allowed 169.254.169.254. What a runtime denies is denied
// however large the network: only a smaller one that it allows is an exception.
class NetworkRules {
  public:
    NetworkRules() : NetworkRules({}, {}) {}
    NetworkRules(std::vector<Network> allowed, std::vector<Network> denied);

    const std::vector<Network>& allowed() const { return allowed_; }
    const std::vector<Network>& denied() const { return denied_; }

    // Why no connection may be made to it, as a sentence part: "10.0.0.1 is private (10.0.0.0/8)"; empty if one may.
    std::string why_refused(const IpAddress& address) const;

    friend bool operator==(const NetworkRules&, const NetworkRules&) = default;

  private:
    std::vector<Network> allowed_, denied_;
};

// Reads the member `http` of a runtime: {"allow": ["10.1.0.0/16"], "deny": [...]}, 100 networks each at the most. Each fault goes to
// `faults` with its pointer, below `pointer`; empty when there was one.
std::optional<NetworkRules> read_network_rules(const json::Value& value, const std::string& pointer, Faults& faults);

// One JSON object; a list without networks is left out.
void write_network_rules(json::Writer& out, const NetworkRules& rules);

}  // namespace cloudtask::task
