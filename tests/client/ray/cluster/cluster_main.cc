// A worker is this program, started again by the raylet: it must not run the tests.
#include <gtest/gtest.h>

#include <cstdlib>

#include <ray/api.h>

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
