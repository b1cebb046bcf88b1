// ClusterTest: one pair of private daemons for a whole test program; its workers are the same program, so main (in
// cluster_main.cc) begins with ray::Init there.
#pragma once

#include <gtest/gtest.h>

#include "tests/client/ray/cluster/cluster_functions.h"

namespace cluster_test {

class ClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.head_args = {"--num-cpus", "2", "--object-store-memory", "64M"};
    ray::Init(config);
  }
  static void TearDownTestSuite() { ray::Shutdown(); }
};

}  // namespace cluster_test
