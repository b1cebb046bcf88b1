// The words of a raylet about a flag that is outside of its limits.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/harness/daemon_process.h"

namespace cluster_test {

// A raylet ends at once with `words` for each of these values of `flag`.
inline void ExpectRefused(const std::string& flag, const std::vector<std::string>& values, const std::string& words) {
  for (const std::string& wrong : values) {
    const auto raylet = raylet::test::DaemonProcess::Start(
        "raylet", {"--socket", "/nowhere/raylet", "--store-socket", "/nowhere/store", flag, wrong});
    ASSERT_FALSE(raylet);
    EXPECT_NE(raylet.error().message.find(words), std::string::npos) << raylet.error().message;
  }
}

}  // namespace cluster_test
