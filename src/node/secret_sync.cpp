// SecretSync: see its header. A circle of three steps: ask, keep on disk what came, take it up; again while the center has more.
#include "node/secret_sync.h"

#include <utility>
#include <vector>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/json.h"
#include "node/backoff.h"
#include "node/center_answer.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

struct SecretsAnswer {
    std::int64_t revision = 0;
    std::vector<ToldSecret> secrets;
    bool more = false;
};

Result<SecretsAnswer> read_secrets_answer(std::string_view body) {
    const auto document = json::parse(body, {.max_bytes = kMaxCenterAnswer, .max_depth = 8});
    if (!document) return fail(Errc::unavailable, "the center's answer cannot be read: {}", document.error().message);
    SecretsAnswer answer;
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    for (const auto* name : {"revision", "secrets", "more"}) reader.require(name);
    reader.read("revision", answer.revision);
    reader.read("more", answer.more);
    const json::Value* list = reader.array("secrets", {.min = 0, .max = 1'000'000});
    for (rapidjson::SizeType i = 0; list != nullptr && i < list->Size(); ++i) {
        json::ObjectReader item((*list)[i], fmt::format("/secrets/{}", i), faults);
        ToldSecret& secret = answer.secrets.emplace_back();
        std::string sealed;
        item.read("group", secret.group, {.min = 0, .max = 63});
        item.read("name", secret.name, {.min = 1, .max = 63});
        item.read("version", secret.version, {.min = 1});
        item.read("sealed", sealed, {.min = 0, .max = 1 << 20});
        auto bytes = from_base64(sealed);
        if (!bytes) faults.add(item.pointer("sealed"), "is not base64");
        secret.sealed = bytes.value_or("");
    }
    if (!faults.empty()) return fail(Errc::unavailable, "the center's answer cannot be read: {}", faults.summary());
    return answer;
}

}  // namespace

struct SecretSync::Impl : std::enable_shared_from_this<Impl> {
    using Then = std::function<void()>;

    Impl(Loop& loop_in, Random& random, http::Client& client_in, Disk& disk_in, NodeSecrets& secrets_in,
         std::map<std::string, std::string> labels_in)
        : loop(loop_in),
          client(client_in),
          disk(disk_in),
          secrets(secrets_in),
          labels(std::move(labels_in)),
          retry(loop_in, random, "secrets") {}

    Loop& loop;
    http::Client& client;
    Disk& disk;
    NodeSecrets& secrets;
    const std::map<std::string, std::string> labels;
    Retry retry;
    std::optional<std::int64_t> synchronised;  // the revision of the last whole answer
    bool asking = false;                       // a question is on its way
    std::vector<Then> waiting;                 // for the answer to it
    std::vector<Then> next;                    // for the answer to one that is asked after them
    bool closed = false;

    void ask(Then then) {
        if (asking) {
            next.push_back(std::move(then));
            return;
        }
        waiting.push_back(std::move(then));
        retry.cancel();
        begin();
    }

    void begin() {
        asking = true;
        json::Writer out;
        out.begin_object().member("key", to_base64(secrets.public_key())).member("labels", labels).key("have").begin_array();
        for (const std::int64_t version : secrets.have()) out.value(version);
        out.end_array().end_object();
        http::ClientRequest request;
        request.method = "POST";
        request.target = "/api/v1/node/secrets";
        request.body = out.text();
        client.send(std::move(request), [weak = weak_from_this()](Result<http::Response> answer) {
            const auto self = weak.lock();
            if (self && !self->closed) self->answered(judge_for_node(std::move(answer)));
        });
    }

    void answered(Result<http::Response> response) {
        const auto answer = response ? read_secrets_answer(response->body) : Result<SecretsAnswer>(propagate(response));
        if (!answer) return failed(answer.error());
        const auto change = std::make_shared<const SecretChange>(secrets.compare(answer->secrets, loop.clock().now()));
        if (change->empty()) return kept(answer->revision, answer->more, false);
        disk.run<bool>(
            [change](NodeStore& store) -> Result<bool> {
                if (const auto done = store.change_secrets(*change); !done) return propagate(done);
                return true;
            },
            [weak = weak_from_this(), change, revision = answer->revision, more = answer->more](const Result<bool>& done) {
                const auto self = weak.lock();
                if (!self || self->closed) return;
                if (!done) return self->failed(done.error());
                self->secrets.apply(*change);
                self->kept(revision, more, true);
            });
    }

    void kept(std::int64_t revision, bool more, bool changed) {
        // An answer that promises more and brings nothing would be asked for for ever.
        if (more && !changed) return failed({make_error_code(Errc::unavailable), "the center's answer promises more, and brings nothing"});
        if (more) return begin();
        retry.succeeded();
        synchronised = revision;
        settle();
    }

    // Nobody waits for a center that is away.
    void failed(const Error& error) {
        synchronised.reset();
        settle();
        if (!asking) retry.failed(error, [this] { begin(); });
    }

    void settle() {
        asking = false;
        auto done = std::exchange(waiting, std::exchange(next, {}));
        for (const auto& then : done) {
            then();
            if (closed) return;
        }
        if (!waiting.empty() && !asking) begin();
    }
};

SecretSync::SecretSync(Loop& loop, Random& random, http::Client& client, Disk& disk, NodeSecrets& secrets,
                       std::map<std::string, std::string> labels)
    : impl_(std::make_shared<Impl>(loop, random, client, disk, secrets, std::move(labels))) {}

SecretSync::~SecretSync() {
    impl_->closed = true;
    impl_->retry.cancel();
}

void SecretSync::follow(std::int64_t revision, bool anew, std::function<void()> then) {
    impl_->loop.assert_on_loop();
    const bool none = revision == 0 && impl_->secrets.empty();
    if (none || (!anew && impl_->synchronised == revision)) return then();
    impl_->ask(std::move(then));
}

void SecretSync::need(const task::Task& task, std::function<void()> then) {
    impl_->loop.assert_on_loop();
    if (impl_->secrets.knows(task)) return then();
    impl_->ask(std::move(then));
}

}  // namespace cloudtask::node
