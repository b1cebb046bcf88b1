// InLocalMode: each test runs between an Init and a Shutdown of its own, all in this process.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include <ray/api.h>

namespace ray_test {

class InLocalMode : public testing::Test {
 protected:
  explicit InLocalMode(std::string ray_namespace = {}) : ray_namespace_(std::move(ray_namespace)) {}
  void SetUp() override {
    ray::RayConfig config;
    config.local_mode = true;
    config.ray_namespace = ray_namespace_;
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

 private:
  const std::string ray_namespace_;
};

}  // namespace ray_test
