// Requests in short. Pure.
#include "cli/api.h"

namespace cloudtask::cli {

http::ClientRequest make_request(std::string method, std::string target) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    return request;
}

}  // namespace cloudtask::cli
