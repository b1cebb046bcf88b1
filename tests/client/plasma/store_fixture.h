// A real plasma_store in a private folder, for one test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

class PlasmaStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { StartStore("64M"); }
  void StartStore(const std::string& memory, std::vector<std::string> more = {}) {
    store_.reset();
    more.insert(more.begin(), {"-m", memory, "-s", socket_});
    auto store = DaemonProcess::Start("plasma_store", more);
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
  }
  const std::string& socket() const { return socket_; }
  DaemonProcess& store() { return *store_; }

 private:
  RunFolder folder_;
  std::string socket_ = folder_.File("store.sock");
  std::optional<DaemonProcess> store_;
};

inline std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace raylet::test
