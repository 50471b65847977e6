// Joining: one request, once; who asks decides whether to ask again.
#include "cloudtask/core/json.h"
#include "cloudtask/core/version.h"
#include "node/center_answer.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

std::string body_of(const JoinRequest& request) {
    json::Writer out;
    out.begin_object().member("token", request.join_token).member("runtime", request.runtime);
    if (!request.node_id.empty()) out.member("node_id", request.node_id);
    out.member("name", request.name).member("labels", request.labels);
    out.member("weight", static_cast<std::uint64_t>(request.weight)).member("version", kVersion).end_object();
    return out.text();
}

// Members that this program does not know are a newer center's, and left alone.
Result<Identity> read_identity(std::string_view body, std::string center_url, std::string name) {
    const auto document = json::parse(body);
    if (!document) return fail(Errc::unavailable, "the center's answer cannot be read: {}", document.error().message);
    Identity identity;
    identity.center_url = std::move(center_url);
    identity.name = std::move(name);
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    for (const auto* member : {"node_id", "node_token", "runtime", "zookeeper"}) reader.require(member);
    reader.read("node_id", identity.node_id, {.min = 1});
    reader.read("node_token", identity.node_token, {.min = 1});
    reader.read("runtime", identity.runtime, {.min = 1});
    if (const json::Value* zookeeper = reader.object("zookeeper"); zookeeper != nullptr) {
        json::ObjectReader inner(*zookeeper, reader.pointer("zookeeper"), faults);
        for (const auto* member : {"servers", "chroot", "session_timeout", "secret"}) inner.require(member);
        inner.read("servers", identity.zookeeper_servers);
        inner.read("chroot", identity.zookeeper_chroot);
        inner.read("secret", identity.zookeeper_secret);
        inner.read_duration("session_timeout", identity.zookeeper_session_timeout);
    }
    if (!faults.empty()) return fail(Errc::unavailable, "the center's answer cannot be read: {}", faults.summary());
    return identity;
}

}  // namespace

void join(http::Client& client, std::string center_url, JoinRequest request, std::function<void(Result<Identity>)> done) {
    http::ClientRequest call;
    call.method = "POST";
    call.target = "/api/v1/node/join";
    call.body = body_of(request);
    client.send(std::move(call),
                [center_url = std::move(center_url), name = request.name, done = std::move(done)](Result<http::Response> answer) {
                    const auto good = judge(std::move(answer));
                    if (!good) return done(propagate(good));
                    done(read_identity(good->body, center_url, name));
                });
}

}  // namespace cloudtask::node
