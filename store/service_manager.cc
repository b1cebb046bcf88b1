#include "store/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

uint64_t NumberOr(std::string_view text, uint64_t otherwise) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : otherwise;
}

}  // namespace

std::string TakeVariable(const char* name) {
  const char* const value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

ServiceManager::ServiceManager() : address_(TakeVariable("NOTIFY_SOCKET")) {
  const uint64_t watchdog_us = NumberOr(TakeVariable("WATCHDOG_USEC"), 0);
  // The process that the manager started: this one, or the parent that keeps it.
  const auto us = static_cast<uint64_t>(::getpid()), parent = static_cast<uint64_t>(::getppid());
  const uint64_t watched_pid = NumberOr(TakeVariable("WATCHDOG_PID"), us);
  constexpr uint64_t kDayUs = 86'400'000'000;
  if ((watched_pid == us || watched_pid == parent) && watchdog_us <= kDayUs)
    watchdog_ = std::chrono::microseconds(watchdog_us);
  // A path, or an abstract name behind an @.
  if (address_.empty() || (address_[0] != '/' && address_[0] != '@') ||
      address_.size() >= sizeof(sockaddr_un::sun_path))
    return;
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

void ServiceManager::Tell(const std::string& message, int fd) {
  if (!socket_) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (to.sun_path[0] == '@') to.sun_path[0] = 0;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  iovec text{const_cast<char*>(message.data()), message.size()};
  msghdr datagram{};
  datagram.msg_name = &to;
  datagram.msg_namelen = size;
  datagram.msg_iov = &text;
  datagram.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  if (fd >= 0) {
    datagram.msg_control = control;
    datagram.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&datagram);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const ssize_t sent = ::sendmsg(socket_.get(), &datagram, MSG_NOSIGNAL);
  if (sent >= 0 || complained_) return;
  complained_ = true;
  RAYLET_LOG(kWarning, "the service manager at ", address_, " takes no message: ", std::strerror(errno));
}

void ServiceManager::Ready(Loop& loop, const std::string& status) {
  Tell("READY=1\nSTATUS=" + status + "\n");
  if (!socket_ || watchdog_ <= Duration::zero()) return;
  const auto half =
      std::max(std::chrono::milliseconds(1), std::chrono::duration_cast<std::chrono::milliseconds>(watchdog_ / 2));
  alive_ = Timer(loop, half, half, [this] { Tell("WATCHDOG=1\n"); });
}

void ServiceManager::Stopping() {
  alive_.Cancel();
  Tell("STOPPING=1\n");
  while (!stored_.empty()) Remove(std::string(*stored_.begin()));
}

void ServiceManager::Store(const std::string& name, int fd) {
  if (!socket_) return;
  Tell(StrCat("FDSTORE=1\nFDNAME=", name, "\n"), fd);
  stored_.insert(name);
}

void ServiceManager::Remove(const std::string& name) {
  if (stored_.erase(name) > 0) Tell(StrCat("FDSTOREREMOVE=1\nFDNAME=", name, "\n"));
}

}  // namespace raylet::store
