#include "tests/raylet/control/control_stores.h"

#include <optional>

#include "raylet/control/memory_control_store.h"
#include "raylet/control/redis_control_store.h"
#include "tests/harness/redis_server.h"

namespace raylet::test {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  explicit MemoryUnderTest(LoopThread& thread)
      : thread_(thread), store_(clock_, [&loop = thread.loop()](std::function<void()> work) { loop.Post(work); }) {}
  ControlStore& store() override { return store_; }
  void Flush() override {
    thread_.Run([this] { store_.Flush(); });
  }

 private:
  LoopThread& thread_;
  SteadyClock clock_;
  MemoryControlStore store_;
};

class RedisUnderTest final : public StoreUnderTest {
 public:
  explicit RedisUnderTest(LoopThread& thread) {
    static RedisServer server;
    server_ = &server;
    Flush();
    thread.Run([&] { store_.emplace(thread.loop(), server.address()); });
  }
  ControlStore& store() override { return *store_; }
  void Flush() override { server_->Ask({"FLUSHALL"}); }

 private:
  RedisServer* server_ = nullptr;
  std::optional<RedisControlStore> store_;
};

}  // namespace

std::unique_ptr<StoreUnderTest> MakeMemoryStore(LoopThread& thread) {
  return std::make_unique<MemoryUnderTest>(thread);
}
std::unique_ptr<StoreUnderTest> MakeRedisStore(LoopThread& thread) { return std::make_unique<RedisUnderTest>(thread); }

}  // namespace raylet::test
