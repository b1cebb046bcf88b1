#include "raylet/peers/listener.h"

#include <utility>

#include "base/counted.h"
#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr int kBacklog = 128;
constexpr std::chrono::milliseconds kListenerPause{200};
constexpr std::chrono::seconds kStrangersLoggedEvery{1};

}  // namespace

Result<void> PeerListener::Listen(const TcpAddress& address) {
  if (address.wildcard()) {
    return Fail(ErrorCode::kInvalid, StrCat(address.host(),
                                            " stands for every address of this machine: name the one that "
                                            "other raylets reach with --node-ip"));
  }
  auto fd = ListenTcp(address, kBacklog);
  if (!fd) return Fail(fd.error());
  auto local = LocalAddressOf(fd->get());
  if (!local) return Fail(local.error());
  address_ = *std::move(local);
  fd_ = std::move(*fd);
  watcher_ = FdWatcher(loop_, fd_.get(), [this](FdWatcher::Events) { AcceptAll(); });
  watcher_.Watch({true, false});
  return {};
}

void PeerListener::Stop() {
  watcher_.Cancel();
  fd_.Reset();
  pause_.Cancel();
}

void PeerListener::AcceptAll() {
  for (;;) {
    auto fd = AcceptTcp(fd_.get());
    if (!fd) {
      RAYLET_LOG(kError, "cannot accept a raylet's connection: ", fd.error().message, "; trying again soon");
      watcher_.Watch({});
      pause_ = Timer(loop_, kListenerPause, {}, [this] { watcher_.Watch({true, false}); });
      return;
    }
    if (!*fd) return;
    const auto remote = RemoteAddressOf(fd->get());
    if (!remote) continue;  // gone already
    accepted_(std::move(*fd), *remote);
  }
}

void PeerListener::LogEnd(const PeerConnection& connection, const Error& reason) {
  const PeerHandshake& handshake = connection.handshake();
  if (handshake.to_itself() || (handshake.proven() && handshake.refusal())) return;
  if (handshake.own_refusal().value_or(wire::RefusalKind::Other) != wire::RefusalKind::Other) return;  // no stranger
  // A port scan, or a look whether this raylet lives.
  if (handshake.said_nothing() && reason.code == ErrorCode::kDisconnected) {
    RAYLET_LOG(kDebug, "a connection from ", connection.remote().text(), ": ", reason.message);
    return;
  }
  if (handshake.proven() && handshake.state() != PeerHandshake::State::kFailed) return;  // two dialed each other
  const TimePoint now = clock_.Now();
  if (logged_at_ != TimePoint() && now - logged_at_ < kStrangersLoggedEvery) {
    ++unlogged_;
    return;
  }
  logged_at_ = now;
  const uint64_t others = std::exchange(unlogged_, 0);
  RAYLET_LOG(kWarning, "a connection from ", connection.remote().text(), " was closed: ", reason.message,
             others == 0 ? "" : StrCat(" (and ", Counted(others, "other"), " before)"));
}

}  // namespace raylet
