#include "base/http_server.h"

#include <microhttpd.h>

#include <cerrno>
#include <utility>

#include "base/process_start.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr unsigned kThreads = 2;
constexpr unsigned kConnectionsMax = 64;
constexpr unsigned kTimeoutSeconds = 5;               // of a connection that asks nothing, or does not read
constexpr size_t kConnectionBytes = size_t{8} << 10;  // for a request's headers
constexpr size_t kStackBytes = size_t{256} << 10;

MHD_Result Send(MHD_Connection* connection, const HttpServer::Page& page) {
  MHD_Response* const response =
      MHD_create_response_from_buffer(page.body.size(), const_cast<char*>(page.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;  // closes the connection
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page.type.c_str());
  const MHD_Result sent = MHD_queue_response(connection, static_cast<unsigned>(page.code), response);
  MHD_destroy_response(response);
  return sent;
}

}  // namespace

struct HttpServer::Http {
  Handler handler;
  UniqueFd listening;
  MHD_Daemon* daemon = nullptr;  // its threads use all of the above

  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* path, const char* method, const char*,
                           const char*, size_t* body_bytes, void**) {
    *body_bytes = 0;  // a body is read and dropped
    const std::string_view verb = method;
    if (verb != "GET" && verb != "HEAD") return Send(connection, {405, "GET is all there is\n"});
    return Send(connection, static_cast<Http*>(self)->handler(path));
  }
};

HttpServer::HttpServer() = default;

HttpServer::~HttpServer() {
  if (http_ && http_->daemon != nullptr) MHD_stop_daemon(http_->daemon);
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const TcpAddress& listen, Handler handler) {
  auto listening = ListenTcp(listen, static_cast<int>(kConnectionsMax));
  if (!listening && listening.error().code == ErrorCode::kAlreadyExists)
    return Fail(ErrorCode::kAlreadyExists, StrCat("cannot serve metrics at ", listen.text(),
                                                  ": another process listens there; choose another port, or 0"));
  if (!listening) return Fail(listening.error());
  const auto bound = LocalAddressOf(listening->get());
  if (!bound) return Fail(bound.error());

  std::unique_ptr<HttpServer> server(new HttpServer());
  server->address_ = bound->text();
  server->http_.reset(new Http{std::move(handler), *std::move(listening), nullptr});
  Http& http = *server->http_;
  const SignalsBlocked blocked;  // signals belong to the loop's thread
  http.daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, nullptr, nullptr, &Http::Handle, &http,
                                 MHD_OPTION_LISTEN_SOCKET, http.listening.get(), MHD_OPTION_THREAD_POOL_SIZE, kThreads,
                                 MHD_OPTION_CONNECTION_LIMIT, kConnectionsMax, MHD_OPTION_CONNECTION_TIMEOUT,
                                 kTimeoutSeconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
                                 MHD_OPTION_THREAD_STACK_SIZE, kStackBytes, MHD_OPTION_END);
  if (http.daemon == nullptr)
    return FailErrno(StrCat("cannot start the threads that serve metrics at ", bound->text()), errno);
  http.listening.Release();  // the server closes it
  return server;
}

}  // namespace raylet
