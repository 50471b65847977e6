// Routes of packages. An upload is streamed: chunks go from the loop to a worker, which writes them, and the next is read when that is
// done.
#include <mutex>

#include "center/package_store.h"
#include "center/packages.h"
#include "center/store.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

using http::Response;

Result<Response> list_packages_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kPackageList, faults);
    if (!query) return faulty_query(faults);
    std::vector<task::Package> packages;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_packages(sql, *query, packages);
        return {};
    });
    if (!read) return propagate(read);
    std::vector<std::string> items;
    items.reserve(packages.size());
    for (const auto& package : packages) items.push_back(package_json(package));
    return Response::json(200, list_body(items, next));
}

Result<task::Package> package_asked_for(Call& call) {
    task::Package package;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        auto found = find_package(sql, call.param("sha256"));
        if (!found) return fail(Errc::not_found, "there is no package {}", call.param("sha256"));
        package = std::move(*found);
        return {};
    });
    if (!read) return propagate(read);
    return package;
}

Result<Response> get_package_route(Call& call) {
    const auto package = package_asked_for(call);
    if (!package) return propagate(package);
    return Response::json(200, package_json(*package));
}

Result<Response> content(Call& call) {
    const auto package = package_asked_for(call);
    if (!package) return propagate(package);
    Response response;
    response.headers.set("Content-Type", "application/octet-stream");
    response.headers.set("X-Content-SHA256", package->sha256);
    response.file = call.context.packages.path_of(package->sha256);
    return response;
}

Result<Response> erase_package_route(Call& call) {
    PackageFiles& files = call.context.packages;
    std::lock_guard lock(files.names());
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_package(scope, call.param("sha256")); !deleted) return propagate(deleted);
        scope.after_commit([&files, name = call.param("sha256")] { files.remove(name); });
        return Response::no_content();
    });
}

// One upload, from the first chunk to the answer.
class UploadSink final : public http::BodySink, public std::enable_shared_from_this<UploadSink> {
  public:
    UploadSink(const Context& context, std::shared_ptr<http::Exchange> exchange, Principal principal, std::string filename)
        : context_(context),
          exchange_(std::move(exchange)),
          principal_(std::move(principal)),
          filename_(std::move(filename)),
          upload_(context.packages.begin()) {}

    void on_chunk(std::string chunk, std::function<void(bool)> next) override {
        context_.worker.submit([self = shared_from_this(), chunk = std::move(chunk), next = std::move(next)] {
            if (auto written = self->upload_->append(chunk); !written) {
                self->answer(problem_for(written.error()));
                return next(false);
            }
            next(true);
        });
    }

    void on_end(Result<> outcome) override {
        context_.worker.submit([self = shared_from_this(), outcome = std::move(outcome)] {
            if (!outcome) return self->answer(Response::problem(outcome.error()));  // the client's doing, no error of the center
            if (const auto exchange = self->exchange_) guarded(exchange, [&self] { self->answer_outcome(); });
        });
    }

  private:
    // Releases the file and the exchange: the server keeps the sink until the connection is done with the body.
    void answer(Response response) {
        upload_.reset();
        if (const auto exchange = std::exchange(exchange_, nullptr)) exchange->reply(std::move(response));
    }

    void answer_outcome() {
        auto outcome = finish();
        answer(outcome ? std::move(*outcome) : problem_for(outcome.error()));
    }

    Result<Response> finish() {
        if (!upload_) return fail(Errc::io, "the upload was given up");
        const http::Request& request = exchange_->request();
        if (upload_->size() == 0) return fail(Errc::invalid_argument, "the upload is empty; send the file's bytes as the body");
        auto sha256 = upload_->finish();
        if (!sha256) return propagate(sha256);
        const std::string claimed{request.headers.get("X-Content-SHA256")};
        if (!claimed.empty() && claimed != *sha256) {
            return fail(Errc::invalid_argument, "the bytes that came have the SHA-256 {}, not that of X-Content-SHA256: send them again",
                        *sha256);
        }
        auto format = check_upload(*upload_, filename_);
        // What cannot be unpacked safely is a fault of the content, not of the request's form.
        if (!format && format.error().is(Errc::invalid_argument)) return Response::problem(422, format.error().message);
        if (!format) return propagate(format);

        task::Package package;
        package.sha256 = *sha256;
        package.filename = filename_;
        package.format = *format;
        package.size = upload_->size();
        Call call{context_, request, principal_};
        call.body_digest = *sha256;
        std::lock_guard lock(context_.packages.names());
        return call.write([&](WriteScope& scope) -> Result<Response> {
            const auto accepted = accept_package(scope, context_.packages, *upload_, package);
            if (!accepted) return propagate(accepted);
            auto response = Response::json(accepted->is_new ? 201 : 200, package_json(accepted->package));
            response.headers.set("Location", "/api/v1/packages/" + *sha256);
            return response;
        });
    }

    const Context& context_;
    std::shared_ptr<http::Exchange> exchange_;
    const Principal principal_;
    const std::string filename_;
    std::unique_ptr<PackageUpload> upload_;
};

void upload(const Context& context, const std::shared_ptr<http::Exchange>& exchange, Principal principal) {
    const auto& query = exchange->request().query;
    Faults faults;
    const auto filename = query.find("filename");
    if (filename == query.end()) {
        faults.add("/filename", "is missing", "the file's name: its ending tells the format");
    } else if (const auto problem = filename_problem(filename->second); !problem.empty()) {
        faults.add("/filename", problem, "such as report.tar.gz");
    }
    for (const auto& [name, value] : query) {
        if (name != "filename") faults.add(pointer_to("", name), "is not a parameter of an upload", "filename");
    }
    if (!faults.empty()) return exchange->reply(faulty_query(faults));
    exchange->stream_body(context.options.packages_max_size,
                          std::make_shared<UploadSink>(context, exchange, std::move(principal), filename->second));
}

}  // namespace

void add_package_routes(RouteTable& table, const Context& context) {
    table.add("GET", "/api/v1/packages", Access::user_read, list_packages_route);
    table.add_stream(
        "POST", "/api/v1/packages", Access::user_write,
        [&context](const std::shared_ptr<http::Exchange>& exchange, Principal who) { upload(context, exchange, std::move(who)); });
    table.add("GET", "/api/v1/packages/{sha256}", Access::user_read, get_package_route);
    table.add("DELETE", "/api/v1/packages/{sha256}", Access::user_write, erase_package_route);
    table.add("GET", "/api/v1/packages/{sha256}/content", Access::user_read, content);
}

}  // namespace cloudtask::center
