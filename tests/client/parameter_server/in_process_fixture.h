// Sessions in this process alone, for tests of parts that use arrays or actors.
#pragma once

#include <gtest/gtest.h>

#include <ray/api.h>

namespace parameter_server_test {

inline void InitInProcess() {
  ray::RayConfig config;
  config.local_mode = true;
  ray::Init(config);
}

class InProcess : public testing::Test {
 protected:
  void SetUp() override { InitInProcess(); }
  void TearDown() override { ray::Shutdown(); }
};

}  // namespace parameter_server_test
