#include "tests/harness/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "base/unique_fd.h"

namespace raylet::test {

HttpAnswer HttpGet(const std::string& host, uint16_t port, const std::string& page, Duration timeout) {
  HttpAnswer answer;
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(timeout).count();
  const timeval wait{us / 1'000'000, us % 1'000'000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &to.sin_addr);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return answer;
  const std::string request = StrCat("GET ", page, " HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n\r\n");
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return answer;
  std::string all;
  char piece[4096];
  for (ssize_t got; (got = ::recv(socket.get(), piece, sizeof piece, 0)) > 0;)
    all.append(piece, static_cast<size_t>(got));
  const size_t end = all.find("\r\n\r\n");
  if (!all.starts_with("HTTP/1.1 ") || end == std::string::npos) return answer;
  answer.code = std::atoi(all.c_str() + 9);
  answer.headers = all.substr(0, end);
  answer.body = all.substr(end + 4);
  return answer;
}

}  // namespace raylet::test
