// Fixtures with daemons of their own. DaemonsTest: this program is the driver of a raylet that it started by hand.
// DriverTest: the driver is a program of its own on a Machine, and the test reads its output. Each test has new
// daemons.
#pragma once

#include <gtest/gtest.h>
#include <ray/api.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/client/ray/cluster/status_of.h"
#include "tests/cluster/machines.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {

class DaemonsTest : public ::testing::Test {
 protected:
  void Start(const std::string& cpus, const std::string& ray_namespace = {},
             const std::vector<std::string>& more_flags = {}) {
    ray::Shutdown();  // of another suite
    store_ = Daemon("plasma_store", {"-m", "64M", "-s", store_socket_});
    std::vector<std::string> flags = {"--socket",   raylet_socket_, "--store-socket", store_socket_,
                                      "--num-cpus", cpus,           "--logs-folder",  folder_.path()};
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    raylet_ = Daemon("raylet", std::move(flags));
    ray::RayConfig config;
    config.address = raylet_socket_;
    config.ray_namespace = ray_namespace;
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  nlohmann::json Status() const { return StatusOf(raylet_socket_); }

  raylet::test::RunFolder folder_;
  const std::string store_socket_ = folder_.File("store");
  const std::string raylet_socket_ = folder_.File("raylet");
  std::unique_ptr<raylet::test::DaemonProcess> store_, raylet_;

 private:
  static std::unique_ptr<raylet::test::DaemonProcess> Daemon(const std::string& program,
                                                             std::vector<std::string> arguments) {
    auto started = raylet::test::DaemonProcess::Start(program, std::move(arguments));
    if (!started) throw std::runtime_error(started.error().message);
    return std::make_unique<raylet::test::DaemonProcess>(*std::move(started));
  }
};

class DriverTest : public ::testing::Test {
 protected:
  void StartMachine(const std::vector<std::string>& raylet_flags) {
    machine_ = std::make_unique<raylet::test::Machine>(token_, raylet_flags);
  }
  // A driver of the machine's raylet.
  void StartProgram(const std::string& program, const std::vector<std::string>& arguments) {
    raylet::test::ProcessOptions options;
    options.environment = {{"RAY_ADDRESS", machine_->socket()}};
    auto driver = raylet::test::DaemonProcess::StartPlain(program, arguments, options);
    ASSERT_TRUE(driver) << driver.error().message;
    driver_ = std::make_unique<raylet::test::DaemonProcess>(*std::move(driver));
  }
  bool Says(const std::string& words, raylet::Duration within) {
    return raylet::test::Eventually(within, [&] { return driver_->Output().find(words) != std::string::npos; });
  }
  std::string Outputs() const { return driver_->Output() + machine_->raylet->Output(); }

  raylet::test::RunFolder folder_;
  const std::string token_ = raylet::test::WriteToken(folder_);
  std::unique_ptr<raylet::test::Machine> machine_;
  std::unique_ptr<raylet::test::DaemonProcess> driver_;
};

}  // namespace cluster_test
