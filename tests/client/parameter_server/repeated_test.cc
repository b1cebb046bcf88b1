// A function that a thread calls again and again.
#include "client/parameter_server/repeated.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace repeated_test {

using ray::ps::internal::Repeated;
using namespace std::chrono_literals;

TEST(RepeatedTest, ItIsCalledUntilItsEnd) {
  std::atomic<int> calls{0};
  {
    const Repeated repeated(1ms, [&] { ++calls; });
    while (calls < 3) std::this_thread::yield();
  }
  const int after = calls;
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(calls, after);
}

TEST(RepeatedTest, ItEndsInTheMiddleOfAPause) {
  const auto begun = std::chrono::steady_clock::now();
  {
    const Repeated repeated(1h, [] {});
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30min);
}

TEST(RepeatedTest, AnExceptionOfTheSessionEndsIt) {
  std::atomic<int> calls{0};
  const Repeated repeated(1ms, [&] {
    ++calls;
    throw ray::internal::RayException("call ray::Init() first");
  });
  while (calls < 1) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(calls, 1);
}

}  // namespace repeated_test
