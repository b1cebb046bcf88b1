// Two clients of the public interface at a real plasma_store, for one test.
#pragma once

#include <plasma/client.h>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>

#include "base/strings.h"
#include "tests/client/plasma/store_fixture.h"
#include "tests/harness/sleeps.h"

namespace plasma {

#define ASSERT_STATUS_OK(expression)                 \
  do {                                               \
    const Status status_ = (expression);             \
    ASSERT_TRUE(status_.ok()) << status_.ToString(); \
  } while (false)

class PlasmaApiTest : public raylet::test::PlasmaStoreTest {
 protected:
  void SetUp() override {
    PlasmaStoreTest::SetUp();
    ASSERT_NO_FATAL_FAILURE(AwaitConnect(client_));
    ASSERT_NO_FATAL_FAILURE(AwaitConnect(other_));
  }
  // A busy machine's store may answer later than Connect waits.
  void AwaitConnect(PlasmaClient& client) {
    Status status;
    ASSERT_TRUE(raylet::test::Eventually(std::chrono::seconds(40), [&] {
      status = client.Connect(socket(), "", 0, 3);
      return !status.IsTimedOut();
    })) << status.ToString();
    ASSERT_STATUS_OK(status);
  }
  ObjectID Put(const std::string& data, const std::string& metadata = "") {
    const auto id = ObjectID::from_random();
    const auto status = client_.CreateAndSeal(id, data, metadata);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return id;
  }
  // Evicts everything that may be evicted, and writes over all memory that is free.
  static void Overwrite(PlasmaClient& client) {
    int64_t evicted = 0;
    ASSERT_STATUS_OK(client.Evict(64 << 20, evicted));
    for (int i = 0; i < 40; ++i)
      ASSERT_STATUS_OK(client.CreateAndSeal(ObjectID::from_random(), std::string(3 << 20, 'x'), ""));
  }
  static size_t ObjectsOf(PlasmaClient& client) {
    ObjectTable table;
    EXPECT_TRUE(client.List(&table).ok());
    return table.size();
  }
  PlasmaClient client_, other_;
};

// A thread that says when it is about to wait, so that others can see that it does.
class WaitingThread {
 public:
  void Begin() { number_ = static_cast<pid_t>(::syscall(SYS_gettid)); }
  // True once the thread sleeps.
  bool Sleeps() const { return number_ != 0 && raylet::test::Sleeps(number_); }

 private:
  std::atomic<pid_t> number_{0};
};

class Stopwatch {
 public:
  std::chrono::nanoseconds Elapsed() const { return std::chrono::steady_clock::now() - start_; }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace plasma
