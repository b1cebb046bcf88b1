#include "tests/harness/tcp_proxy.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/unix_socket.h"

namespace raylet::test {
namespace {

constexpr size_t kWaitingBytesMax = size_t{256} << 10;  // then the wire is full

}  // namespace

TcpProxy::TcpProxy() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const auto any = ParseTcpAddress("127.0.0.1:0");
  reserved_fd_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  RAYLET_CHECK(::setsockopt(reserved_fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                   ::bind(reserved_fd_.get(), any->raw(), any->size()) == 0,
               "no port is free");
  address_ = *LocalAddressOf(reserved_fd_.get());
  Listen();
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
}

void TcpProxy::Listen() {
  auto fd = ListenTcp(address_, 64);
  RAYLET_CHECK(fd.has_value(), fd ? "" : fd.error().message);
  listen_fd_ = std::move(*fd);
}

void TcpProxy::Wake() {
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;  // it is awake already
}

void TcpProxy::SetTarget(const TcpAddress& target) {
  const std::lock_guard lock(mutex_);
  target_ = target;
}

void TcpProxy::Cut() {
  const std::lock_guard lock(mutex_);
  cuts_ += pipes_.size();
  pipes_.clear();
}

void TcpProxy::CutAfter(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  cut_after_ = bytes;
  carried_ = 0;
}

void TcpProxy::Freeze(bool to_target, bool to_dialer) {
  {
    const std::lock_guard lock(mutex_);
    frozen_to_target_ = to_target;
    frozen_to_dialer_ = to_dialer;
  }
  Wake();
}

void TcpProxy::Stall() {
  const std::lock_guard lock(mutex_);
  for (const auto& pipe : pipes_) pipe->stalled = true;
}

void TcpProxy::Refuse(bool refuse) {
  {
    const std::lock_guard lock(mutex_);
    if (refuse) {
      // At once, and not when the thread's poll lets go of it.
      if (listen_fd_) ::shutdown(listen_fd_.get(), SHUT_RDWR);
      listen_fd_.Reset();
    } else if (!listen_fd_) {
      Listen();
    }
  }
  Wake();
}

void TcpProxy::Run() {
  for (;;) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      if (listen_fd_) polled.push_back({listen_fd_.get(), POLLIN, 0});
      const auto events = [](const Pipe::Way& in, const Pipe::Way& out, bool out_frozen) {
        const bool read = !in.ended && in.waiting.size() < kWaitingBytesMax;
        const bool write = !out.waiting.empty() && !out_frozen;
        return static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0));
      };
      for (const auto& pipe : pipes_) {
        const short dialer = events(pipe->to_target, pipe->to_dialer, pipe->stalled || frozen_to_dialer_);
        const short target = events(pipe->to_dialer, pipe->to_target, pipe->stalled || frozen_to_target_);
        // Even without a wanted event poll would report that the other end has gone, so idle descriptors are left out.
        if (dialer != 0) polled.push_back({pipe->dialer.get(), dialer, 0});
        if (target != 0) polled.push_back({pipe->target.get(), target, 0});
      }
    }
    ::poll(polled.data(), polled.size(), 100);
    uint64_t ignored = 0;
    if (::read(wake_.get(), &ignored, sizeof ignored) < 0) ignored = 0;
    const std::lock_guard lock(mutex_);
    if (listen_fd_) AcceptAll();
    for (const auto& pipe : pipes_) Carry(*pipe);
    std::erase_if(pipes_, [](const auto& pipe) { return pipe->gone; });
  }
}

void TcpProxy::AcceptAll() {
  for (;;) {
    auto fd = AcceptTcp(listen_fd_.get());
    if (!fd || !*fd) return;
    ++accepted_;
    auto target = ConnectTcp(target_);
    if (!target) continue;
    auto pipe = std::make_unique<Pipe>();
    pipe->dialer = std::move(*fd);
    pipe->target = std::move(*target);
    pipes_.push_back(std::move(pipe));
  }
}

void TcpProxy::Carry(Pipe& pipe) {
  const bool fine = Move(pipe.dialer.get(), pipe.target.get(), pipe.to_target, pipe.stalled || frozen_to_target_) &&
                    Move(pipe.target.get(), pipe.dialer.get(), pipe.to_dialer, pipe.stalled || frozen_to_dialer_);
  if (!fine) pipe.gone = true;
}

// False once there is nothing to carry any more.
bool TcpProxy::Move(int from, int to, Pipe::Way& way, bool frozen) {
  std::array<std::byte, 65536> buffer;
  std::vector<UniqueFd> no_fds;
  if (!way.ended && way.waiting.size() < kWaitingBytesMax) {
    const auto received = ReceiveSome(from, buffer, no_fds);
    if (!received) return false;
    way.waiting.insert(way.waiting.end(), buffer.begin(),
                       buffer.begin() + static_cast<std::ptrdiff_t>(received->bytes));
    way.ended = !received->would_block && received->bytes == 0;
  }
  if (frozen) return true;
  if (!way.waiting.empty()) {
    size_t size = way.waiting.size();
    if (cut_after_ != 0) size = std::min<size_t>(size, cut_after_ - carried_);
    const auto sent = SendSome(to, std::span(way.waiting).first(size), {});
    if (!sent) return false;
    carried_ += *sent;
    way.waiting.erase(way.waiting.begin(), way.waiting.begin() + static_cast<std::ptrdiff_t>(*sent));
  }
  if (cut_after_ != 0 && carried_ >= cut_after_) {
    carried_ = 0;
    ++cuts_;
    return false;  // in the middle of whatever it is
  }
  return !way.ended || !way.waiting.empty();
}

}  // namespace raylet::test
