// TwoMachines: a session whose driver is of machine A. Only machine B has the resource "there". A fixture.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include <ray/api.h>

#include "tests/cluster/machines.h"

namespace raylet::test {

class TwoMachines : public ::testing::Test {
 protected:
  explicit TwoMachines(int there = 2)
      : b_(token_,
           {"--num-cpus", "2", "--resources", "{\"there\": " + std::to_string(there) + "}", "--peers", a_.address}) {}
  void SetUp() override {
    ray::RayConfig config;
    config.address = a_.socket();
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  Machine a_{token_, {"--num-cpus", "2"}};
  Machine b_;
};

}  // namespace raylet::test
