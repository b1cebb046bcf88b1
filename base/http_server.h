// HttpServer: a few pages for Prometheus and the like, over HTTP. main owns it. Its threads are its own, and call the
// handler. Always holds: a client that asks nothing or reads nothing keeps nobody out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tcp_socket.h"

namespace raylet {

class HttpServer {
 public:
  struct Page {
    int code = 200;
    std::string body;
    std::string type = "text/plain";
  };
  // The page at this path. On a thread of the server, several at a time.
  using Handler = std::function<Page(std::string_view path)>;

  // kAlreadyExists where another process listens there, kInvalid where this machine does not have the address.
  static Result<std::unique_ptr<HttpServer>> Start(const TcpAddress& listen, Handler handler);
  ~HttpServer();  // no handler runs any more
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const std::string& address() const { return address_; }  // host:port

 private:
  struct Http;
  HttpServer();

  std::unique_ptr<Http> http_;
  std::string address_;
};

// Of a page with metrics.
constexpr const char* kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace raylet
