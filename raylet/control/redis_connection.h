// RedisConnection: one connection to Redis that reconnects by itself. Owned by a RedisControlStore; the raylet's loop
// thread only; never destroyed from inside its own callbacks. The commands of one turn of the loop leave in one write;
// answers come in the order of the commands. It uses hiredis's reader but not its asynchronous context. The context
// asserts that Redis never speaks without a request, and its libuv adapter misses a refused connection.
//
// Always holds: a command's `done` is called once, with its answer or with kDisconnected when the
// connection is lost. The connection also counts as lost when Redis does not answer for three
// seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "raylet/control/control_address.h"
#include "raylet/control/redis_reply.h"

namespace raylet {

struct RedisConnectionOptions {
  std::chrono::milliseconds silence_max{3'000};  // without an answer that Redis owes
  std::chrono::milliseconds retry_first{50};     // doubled with every failure in a row, up to
  std::chrono::milliseconds retry_max{1'000};
};

class RedisConnection {
 public:
  using Done = std::function<void(Result<RedisReply>)>;
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnUp() = 0;
    virtual void OnDown() = 0;     // called after every command has been answered or failed
    virtual void OnRefused() = 0;  // Redis refuses our credentials; attempts go on
  };

  // `address` has a numeric host: nothing here waits for a name server.
  RedisConnection(Loop& loop, ControlAddress address, RedisConnectionOptions options, Handler& handler);
  ~RedisConnection();  // no callback afterwards

  void Start();
  bool up() const { return state_ == State::kUp; }
  // Call only while up.
  void Command(const std::vector<std::string>& words, Done done);
  // Drops the connection and opens another, because Redis says that it cannot serve us now.
  void Break(Error why);

  uint64_t number() const { return number_; }        // how often it came up
  const Error& problem() const { return problem_; }  // why it is or was down

 private:
  enum class State { kWaiting, kConnecting, kGreeting, kUp };

  void Connect();
  Result<UniqueFd> Dial();
  void Greet();
  void Greeted(Result<RedisReply> reply, bool last);
  void Send(const std::vector<std::string>& words, Done done);
  void Ready(FdWatcher::Events events);
  void Flush();
  void Read();
  void WatchSilence();
  void Lost(Error why);

  Loop& loop_;
  const ControlAddress address_;
  const RedisConnectionOptions options_;
  Handler& handler_;

  State state_ = State::kWaiting;
  UniqueFd fd_;
  FdWatcher watcher_;  // after fd_: stops before it closes
  std::unique_ptr<RedisReplyReader> reader_;
  std::string out_;  // not sent yet
  bool flush_posted_ = false;
  std::deque<Done> owed_;  // callbacks of the answers to come, in order
  uint64_t answers_ = 0;
  uint64_t answers_before_ = 0;  // number of this connection
  Timer silence_;
  Timer retry_;
  uint32_t failures_ = 0;  // failures in a row
  uint64_t number_ = 0;
  Error problem_;  // the first value: no Redis has answered yet
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
