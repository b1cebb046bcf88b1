// TwoModesTest: each test runs in one process, and on daemons with processes of their own.
#pragma once

#include <gtest/gtest.h>
#include <ray/parameter_server.h>

#include <string>

#include "tests/client/parameter_server/in_process_fixture.h"
#include "tests/client/parameter_server/private_daemons.h"

namespace parameter_server_test {

inline const ray::ps::Options kThreeShards{.shards = 3, .optimizer = ray::ps::Sgd{.rate = 1}};

// Its parameter says whether the test runs in one process.
class TwoModesTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { GetParam() ? InitInProcess() : InitOnPrivateDaemons(); }
  void TearDown() override { ray::Shutdown(); }
};

inline std::string NameOfMode(const testing::TestParamInfo<bool>& mode) {
  return mode.param ? "InProcess" : "OnDaemons";
}

}  // namespace parameter_server_test
