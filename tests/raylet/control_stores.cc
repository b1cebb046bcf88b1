#include "tests/raylet/control_stores.h"

#include "raylet/memory_control_store.h"

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

}  // namespace

std::unique_ptr<StoreUnderTest> MakeMemoryStore(LoopThread& thread) {
  return std::make_unique<MemoryUnderTest>(thread);
}

}  // namespace raylet::test
