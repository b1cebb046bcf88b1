// Sessions on daemons of a test's own, large enough for parameter servers and their workers.
#pragma once

#include <gtest/gtest.h>

#include <ray/api.h>

namespace parameter_server_test {

inline void InitOnPrivateDaemons() {
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "4", "--object-store-memory", "64M"};
  ray::Init(config);
}

class OnPrivateDaemons : public testing::Test {
 protected:
  void SetUp() override { InitOnPrivateDaemons(); }
  void TearDown() override { ray::Shutdown(); }
};

}  // namespace parameter_server_test
