#include "raylet/control/redis_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/id.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/tcp_socket.h"
#include "base/unix_socket.h"

namespace raylet {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

Error NobodyThere(const ControlAddress& address, const std::string& reason) {
  return {ErrorCode::kNotRunning,
          StrCat("no Redis serves ", address.Shown(), " (", reason,
                 "): start redis-server there, or say where it is with --control, or start one with --head")};
}

Error NoRedis(const ControlAddress& address, const std::string& reason) {
  return {
      ErrorCode::kProtocolError,
      StrCat("the server at ", address.Shown(), " does not speak Redis (", reason,
             "): give --control the address of a Redis; if the server is a raylet, name it with --peers host:port")};
}

// It may be a stopped Redis, or another kind of server that waits for more bytes.
Error Mute(const ControlAddress& address) {
  return {ErrorCode::kUnavailable,
          StrCat("the server at ", address.Shown(),
                 " takes connections and answers nothing: it is a Redis that hangs, or "
                 "it does not speak Redis; if it is a raylet, name it with --peers host:port")};
}

}  // namespace

RedisConnection::RedisConnection(Loop& loop, ControlAddress address, RedisConnectionOptions options, Handler& handler)
    : loop_(loop),
      address_(std::move(address)),
      options_(options),
      handler_(handler),
      problem_(NobodyThere(address_, "nothing has answered yet")) {}

RedisConnection::~RedisConnection() { *alive_ = false; }

void RedisConnection::Start() { Connect(); }

Result<UniqueFd> RedisConnection::Dial() {
  if (address_.host.empty()) return ConnectUnix(address_.path);
  const auto to = MakeTcpAddress(address_.host, address_.port);
  if (!to) return Fail(to.error());
  return ConnectTcp(*to);
}

void RedisConnection::Connect() {
  auto fd = Dial();
  if (!fd) return Lost(NobodyThere(address_, fd.error().message));
  state_ = State::kConnecting;
  fd_ = std::move(*fd);
  reader_ = std::make_unique<RedisReplyReader>();
  watcher_ = FdWatcher(loop_, fd_.get(), [this](FdWatcher::Events events) { Ready(events); });
  watcher_.Watch({false, true});
  silence_ = Timer(loop_, options_.silence_max, {}, [this] {
    Lost({ErrorCode::kNotRunning, StrCat("nothing answers at ", address_.Shown())});
  });
}

void RedisConnection::Greet() {
  int reason = 0;
  socklen_t bytes = sizeof reason;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &reason, &bytes);
  if (reason != 0) return Lost(NobodyThere(address_, std::strerror(reason)));
  state_ = State::kGreeting;
  if (problem_.code == ErrorCode::kNotRunning) problem_ = Mute(address_);
  answers_before_ = answers_;
  silence_.Cancel();
  watcher_.Watch({true, false});
  if (!address_.password.empty()) {
    std::vector<std::string> words{"AUTH", address_.password};
    if (!address_.user.empty()) words.insert(words.begin() + 1, address_.user);
    Send(words, [this](Result<RedisReply> reply) { Greeted(std::move(reply), false); });
  }
  Send({"PING"}, [this](Result<RedisReply> reply) { Greeted(std::move(reply), true); });
}

void RedisConnection::Greeted(Result<RedisReply> reply, bool last) {
  if (!reply || state_ != State::kGreeting) return;  // lost, and already reported
  if (reply->IsError()) {
    const std::string& text = reply->text;
    const bool stranger = text.starts_with("WRONGPASS") || text.starts_with("NOAUTH") || text.starts_with("NOPERM") ||
                          text.starts_with("DENIED") || text.starts_with("ERR AUTH");
    if (stranger) {
      return Lost({ErrorCode::kNotAllowed,
                   StrCat("Redis at ", address_.Shown(), " does not let us in (", text,
                          "): one that a raylet's --head keeps wants redis://raylet@HOST and the "
                          "cluster's token, whose file is copied to every machine (--token-file); for another "
                          "give user and password in --control, or the password in --control-password-file")});
    }
    return Lost({ErrorCode::kUnavailable, StrCat("Redis at ", address_.Shown(), " is not ready: ", text)});
  }
  if (!last) return;
  if (reply->text != "PONG") return Lost(NoRedis(address_, "it does not answer PING with PONG"));
  state_ = State::kUp;
  failures_ = 0;
  ++number_;
  handler_.OnUp();
}

void RedisConnection::Command(const std::vector<std::string>& words, Done done) {
  RAYLET_CHECK(up(), "a command for a connection that is down");
  Send(words, std::move(done));
}

void RedisConnection::Send(const std::vector<std::string>& words, Done done) {
  AppendRedisCommand(out_, words);
  owed_.push_back(std::move(done));
  WatchSilence();
  if (std::exchange(flush_posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    flush_posted_ = false;
    if (fd_) Flush();
  });
}

void RedisConnection::WatchSilence() {
  if (silence_) return;
  silence_ = Timer(loop_, options_.silence_max, {}, [this, answers = answers_] {
    silence_.Cancel();
    if (owed_.empty()) return;
    if (answers_ != answers) return WatchSilence();
    if (state_ == State::kGreeting) return Lost(Mute(address_));
    Lost({ErrorCode::kUnavailable,
          StrCat("Redis at ", address_.Shown(), " has not answered for ", options_.silence_max.count(), " ms")});
  });
}

void RedisConnection::Ready(FdWatcher::Events events) {
  if (state_ == State::kConnecting) return Greet();
  const auto alive = alive_;
  if (events.readable) Read();
  if (events.writable && *alive && fd_) Flush();
}

void RedisConnection::Flush() {
  while (!out_.empty()) {
    const auto sent = SendSome(fd_.get(), std::as_bytes(std::span(out_)), {});
    if (!sent) return Lost(sent.error());
    if (*sent == 0) break;
    out_.erase(0, *sent);
  }
  watcher_.Watch({true, !out_.empty()});
}

void RedisConnection::Read() {
  const auto alive = alive_;
  std::array<std::byte, kReadBytes> buffer;
  std::vector<UniqueFd> none;
  const auto got = ReceiveSome(fd_.get(), buffer, none);
  if (!got) return Lost(got.error());
  if (got->would_block) return;
  if (got->bytes == 0) {
    if (state_ == State::kGreeting && answers_ == answers_before_)
      return Lost(NoRedis(address_, "it closes at the first command"));
    return Lost({ErrorCode::kDisconnected, StrCat("Redis at ", address_.Shown(), " has closed")});
  }
  reader_->Feed(std::span(buffer).first(got->bytes));
  while (fd_) {
    auto reply = reader_->Next();
    if (!reply) return Lost(state_ == State::kGreeting ? NoRedis(address_, reply.error().message) : reply.error());
    if (!*reply) return;
    if (owed_.empty()) {
      return Lost({ErrorCode::kProtocolError,
                   StrCat(address_.Shown(),
                          " sends data without a request, which Redis never does: ", (*reply)->text.substr(0, 100))});
    }
    const Done done = std::move(owed_.front());
    owed_.pop_front();
    ++answers_;
    done(std::move(**reply));
    if (!*alive) return;
  }
}

void RedisConnection::Break(Error why) {
  if (state_ != State::kWaiting) Lost(std::move(why));
}

void RedisConnection::Lost(Error why) {
  const bool was_up = up();
  if (was_up || failures_ == 0) RAYLET_LOG(kInfo, "control store: ", why.message);
  problem_ = why;
  state_ = State::kWaiting;
  watcher_.Cancel();
  silence_.Cancel();
  fd_.Reset();
  out_.clear();
  // Waits half to all of the time, so that many raylets do not come at once.
  const auto wait = std::min(options_.retry_max, options_.retry_first * (1 << std::min(failures_, 10u)));
  uint8_t random = 0;
  FillRandom(&random, 1);
  ++failures_;
  retry_ = Timer(loop_, wait / 2 + wait * random / 512, {}, [this] {
    retry_.Cancel();
    Connect();
  });
  const auto alive = alive_;
  const auto owed = std::exchange(owed_, {});
  for (const Done& done : owed) {
    done(Fail(ErrorCode::kDisconnected, problem_.message));
    if (!*alive) return;
  }
  if (was_up)
    handler_.OnDown();
  else if (problem_.code == ErrorCode::kNotAllowed)
    handler_.OnRefused();
}

}  // namespace raylet
