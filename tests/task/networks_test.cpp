// Which addresses HTTP calls may connect to.
#include "cloudtask/task/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

std::string refusal_of(const NetworkRules& rules, std::string_view address) {
    const auto parsed = IpAddress::parse(address);
    REQUIRE(parsed);
    return rules.why_refused(*parsed);
}

std::vector<Network> networks(std::initializer_list<const char*> texts) {
    std::vector<Network> list;
    for (const char* text : texts) list.push_back(*Network::parse(text));
    return list;
}

}  // namespace

TEST_CASE("addresses that are not for everybody are refused") {
    const NetworkRules rules;
    const char* hostile[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378::",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    };
    for (const char* address : hostile) {
        INFO(address);
        CHECK_FALSE(refusal_of(rules, address).empty());
    }
    const char* open[] = {"1.1.1.1",   "9.255.255.255", "11.0.0.0",    "100.63.255.255",   "100.128.0.0",     "126.255.255.255",
                          "128.0.0.0", "169.253.0.1",   "172.15.0.1",  "172.32.0.0",       "192.167.255.255", "223.255.255.255",
                          "2600::1",   "2a00:1450::1",  "2001:200::1", "64:ff9b::1.1.1.1", "2002:101:101::1", "::ffff:1.1.1.1"};
    for (const char* address : open) {
        INFO(address);
        CHECK(refusal_of(rules, address).empty());
    }
    CHECK(refusal_of(rules, "::ffff:10.0.0.1") == "10.0.0.1 is private (10.0.0.0/8)");
    CHECK(refusal_of(rules, "64:ff9b::7f00:1") == "64:ff9b::7f00:1 stands for 127.0.0.1 is loopback (127.0.0.0/8)");
}

TEST_CASE("a runtime's own networks: the smallest decides, denials first") {
    const NetworkRules rules(networks({"10.1.0.0/16", "169.254.0.0/16", "127.0.0.1", "0.0.0.0/0"}),
                             networks({"10.1.2.0/24", "8.8.0.0/16"}));
    CHECK(refusal_of(rules, "10.1.1.1").empty());
    CHECK(refusal_of(rules, "10.1.2.1") == "10.1.2.1 is denied in this runtime (10.1.2.0/24)");
    CHECK_FALSE(refusal_of(rules, "10.2.0.1").empty());
    CHECK(refusal_of(rules, "169.254.1.1").empty());
    CHECK_FALSE(refusal_of(rules, "169.254.169.254").empty());
    CHECK(refusal_of(rules, "127.0.0.1").empty());
    CHECK_FALSE(refusal_of(rules, "127.0.0.2").empty());
    CHECK_FALSE(refusal_of(rules, "8.8.8.8").empty());
    CHECK_FALSE(refusal_of(rules, "64:ff9b::8.8.8.8").empty());

    const NetworkRules closed(networks({"10.1.0.0/16"}), networks({"::/0"}));
    CHECK_FALSE(refusal_of(closed, "1.1.1.1").empty());
    CHECK_FALSE(refusal_of(closed, "2600::1").empty());
    CHECK(refusal_of(closed, "10.1.1.1").empty());

    const NetworkRules same(networks({"1.1.1.1"}), networks({"1.1.1.1"}));
    CHECK_FALSE(refusal_of(same, "1.1.1.1").empty());
}

TEST_CASE("networks are read strictly") {
    for (const char* wrong : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "10.0.0/8", "fd00::/129",
                              "fd00::1/8", "localhost", "010.0.0.0/8", "::ffff:10.0.0.0/104"}) {
        INFO(wrong);
        CHECK_FALSE(Network::parse(wrong));
    }
    for (const char* right : {"10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "192.0.2.1", "2001:db8::1", "172.16.0.0/12"}) {
        INFO(right);
        REQUIRE(Network::parse(right));
        CHECK(Network::parse(right)->to_string() == right);
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto& generic = reinterpret_cast<const sockaddr&>(v4);
    CHECK(IpAddress::from(generic, sizeof v4) == *IpAddress::parse("127.0.0.1"));
    CHECK_FALSE(IpAddress::from(generic, 2));
    v4.sin_family = AF_UNIX;
    CHECK_FALSE(IpAddress::from(generic, sizeof v4));
}

TEST_CASE("a runtime's networks are read, and written as they were read") {
    const auto read = [](const std::string& text, Faults& faults) {
        const auto document = json::parse(text);
        REQUIRE(document);
        return read_network_rules(*document, "/http", faults);
    };
    Faults faults;
    const auto rules = read(R"({"allow": ["10.1.0.0/16", "127.0.0.1"], "deny": ["2600::/16"]})", faults);
    REQUIRE(rules);
    json::Writer out;
    write_network_rules(out, *rules);
    CHECK(out.text() == R"({"allow":["10.1.0.0/16","127.0.0.1"],"deny":["2600::/16"]})");
    CHECK(read(out.text(), faults) == *rules);
    CHECK(read("{}", faults) == NetworkRules{});
    CHECK(faults.empty());

    CHECK_FALSE(read(R"({"allow": ["10.1.0.1/16", "10.1.0.0/16", "localhost"], "denied": []})", faults));
    REQUIRE(faults.list().size() == 3);
    CHECK(faults.list()[0].pointer == "/http/allow/0");
    CHECK(faults.list()[1].pointer == "/http/allow/2");
}
