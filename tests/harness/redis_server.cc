#include "tests/harness/redis_server.h"

#include <array>

#include "base/check.h"
#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet::test {

RedisServer::RedisServer(std::vector<std::string> more) : more_(std::move(more)) { Start(); }

void RedisServer::Start() {
  std::vector<std::string> flags{"--port", "0", "--unixsocket", socket(), "--dir", folder_.path(), "--save", ""};
  flags.insert(flags.end(), more_.begin(), more_.end());
  auto process = DaemonProcess::StartPlain("/usr/bin/redis-server", flags);
  RAYLET_CHECK(process, "redis-server cannot be started: tools/install_packages test installs it");
  process_.emplace(std::move(*process));
  const bool serves = Eventually(std::chrono::seconds(20),
                                 [this] { return ConnectUnix(socket()).has_value() || !process_->Running(); });
  RAYLET_CHECK(serves && process_->Running(), "redis-server does not serve: ", process_->Output());
}

ControlAddress RedisServer::address() const {
  ControlAddress address;
  address.path = socket();
  return address;
}

RedisReply RedisServer::Ask(const std::vector<std::string>& words) const {
  const Deadline deadline = Deadline::AfterMs(30'000);
  const auto fd = ConnectUnix(socket());
  RAYLET_CHECK(fd, "redis-server is not there");
  std::string out;
  AppendRedisCommand(out, words);
  RAYLET_CHECK(SendSome(fd->get(), std::as_bytes(std::span(out)), {}) == out.size(), "a command is too long");
  RedisReplyReader reader;
  std::array<std::byte, 4096> buffer;
  std::vector<UniqueFd> none;
  for (;;) {
    RAYLET_CHECK(WaitReadable(fd->get(), deadline).value_or(false), "redis-server does not answer");
    const auto got = ReceiveSome(fd->get(), buffer, none);
    RAYLET_CHECK(got && got->bytes > 0, "redis-server has closed");
    reader.Feed(std::span(buffer).first(got->bytes));
    auto reply = reader.Next();
    RAYLET_CHECK(reply, "redis-server speaks nonsense");
    if (*reply) return std::move(**reply);
  }
}

}  // namespace raylet::test
