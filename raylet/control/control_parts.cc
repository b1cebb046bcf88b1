#include "raylet/control/control_parts.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <utility>

#include "base/strings.h"
#include "base/tcp_socket.h"

namespace raylet {
namespace {

constexpr std::chrono::seconds kLeavePatience{1};

}  // namespace

std::string ControlPassword(const std::string& token) {
  constexpr std::string_view kLabel = "raylet control store 1";
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  ::HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()), reinterpret_cast<const uint8_t*>(kLabel.data()),
         kLabel.size(), mac, &bytes);
  return ToHex(mac, bytes);
}

Result<ControlAddress> MakeControlAddress(const std::string& text, const std::string& password,
                                          const std::string& token) {
  auto address = ParseControlAddress(text);
  if (!address) return address;
  if (!password.empty()) {
    address->password = password;
    if (address->user.empty()) address->user = kControlUser;
  } else if (!address->user.empty() && address->password.empty()) {
    address->password = ControlPassword(token);
  }
  if (address->host.empty()) return address;
  const bool v6 = address->host.find(':') != std::string::npos;
  const auto resolved = ResolveTcpAddress(StrCat(v6 ? "[" : "", address->host, v6 ? "]:" : ":", address->port));
  if (!resolved) return Fail(ErrorCode::kInvalid, StrCat("--control: ", resolved.error().message));
  address->host = resolved->host();
  return address;
}

ControlParts::ControlParts(Loop& loop, const Clock& clock, ControlOptions options)
    : loop_(loop), clock_(clock), options_(std::move(options)) {
  if (options_.head) supervisor_.emplace(loop, *options_.head);
}

Result<void> ControlParts::Start() {
  if (!supervisor_) return {};
  return supervisor_->Start();
}

void ControlParts::Join(NodeRecord own, std::function<void(const std::vector<NodeRecord>&)> on_nodes, Done<void> done) {
  store_.emplace(loop_, supervisor_ ? supervisor_->address() : *options_.address);
  ControlLinkOptions options;
  options.store_is_new = supervisor_ && supervisor_->is_new();
  link_.emplace(loop_, clock_, *store_, std::move(own), options);
  link_->SetOnNodes(std::move(on_nodes));
  if (supervisor_) {
    supervisor_->SetOnEnded([this, done](const Error& why) {
      given_up_ = true;
      done(Fail(why.code, StrCat("this raylet cannot start its cluster's control store: ", why.message)));
    });
  }
  link_->Join(Deadline::After(options_.join_timeout), [this, done = std::move(done)](Result<void> joined) {
    if (given_up_) return;
    if (supervisor_) supervisor_->SetOnEnded(nullptr);
    if (!joined) return done(Fail(CannotJoin(joined.error())));
    done({});
  });
}

Error ControlParts::CannotJoin(const Error& why) const {
  Error error = why;
  const ControlStore::State state = store_->state();
  if (why.code == ErrorCode::kUnavailable) {
    error.code = ErrorCode::kNotRunning;
    if (!state.connected) error.message = state.problem;
  }
  error.message = StrCat("this raylet cannot join its cluster: ", error.message);
  if (supervisor_) error.message += StrCat("\nredis-server wrote: ", supervisor_->LastWords());
  return error;
}

void ControlParts::Stop(std::function<void()> stopped) {
  const auto stop_redis = [this, stopped = std::move(stopped)] {
    if (!supervisor_) return stopped();
    supervisor_->Stop(stopped);
  };
  if (!link_) return stop_redis();
  link_->Leave(Deadline::After(kLeavePatience), stop_redis);
}

}  // namespace raylet
