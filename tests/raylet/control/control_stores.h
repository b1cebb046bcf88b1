// The control stores that a conformance test runs against, each with its faults. Owned by a test.
#pragma once

#include <memory>
#include <string>

#include "raylet/control/control_store.h"
#include "tests/harness/loop_thread.h"

namespace raylet::test {

class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual ControlStore& store() = 0;  // used on the thread's loop
  virtual void Flush() = 0;           // it loses everything; from the test's thread
};

std::unique_ptr<StoreUnderTest> MakeMemoryStore(LoopThread& thread);
std::unique_ptr<StoreUnderTest> MakeRedisStore(LoopThread& thread);  // one redis-server for all, emptied each time

}  // namespace raylet::test
