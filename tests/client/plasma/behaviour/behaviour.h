// A store of ten million bytes with two clients, for tests whose sources build against our headers and against Plasma's
// own (tests/bench/compare_plasma). So they use nothing of ours but the public surface, and say what both do.
#pragma once

#ifndef AGAINST_PLASMA
#include <plasma/arrow_names.h>
#endif
#include <plasma/client.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

extern char** environ;

#define ASSERT_STORE_OK(expression)                            \
  do {                                                         \
    const ::arrow::Status status_of_it = (expression);         \
    ASSERT_TRUE(status_of_it.ok()) << status_of_it.ToString(); \
  } while (false)
#define EXPECT_STORE_OK(expression)                            \
  do {                                                         \
    const ::arrow::Status status_of_it = (expression);         \
    EXPECT_TRUE(status_of_it.ok()) << status_of_it.ToString(); \
  } while (false)

namespace behaviour {

using arrow::Buffer;
using arrow::Status;
using plasma::ObjectBuffer;
using plasma::ObjectID;
using plasma::PlasmaClient;

constexpr int64_t kCapacity = 10'000'000;

inline ObjectID NewId() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  ObjectID id;
  for (int64_t i = 0; i < ObjectID::size(); ++i) id.mutable_data()[i] = static_cast<uint8_t>(random());
  return id;
}
inline std::vector<ObjectID> NewIds(size_t count) {
  std::vector<ObjectID> ids(count);
  std::generate(ids.begin(), ids.end(), NewId);
  return ids;
}

// Waits for a condition that nothing announces.
inline bool Soon(const std::function<bool()>& condition) {
  for (int tries = 0; tries < 5000; ++tries) {
    if (condition()) return true;
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return false;
}

class Behaviour : public ::testing::Test {
 protected:
  void SetUp() override {
    ::alarm(60);  // ends a program whose store or client hangs
    char folder[] = "/tmp/behaviour-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
    socket_ = folder_ + "/store";
    StartStore({"-m", std::to_string(kCapacity)});
    ASSERT_STORE_OK(client_.Connect(socket_));
    ASSERT_STORE_OK(other_.Connect(socket_));
  }
  void TearDown() override {
    EXPECT_STORE_OK(client_.Disconnect());
    EXPECT_STORE_OK(other_.Disconnect());
    EndStore();
    ::rmdir(folder_.c_str());
  }

  void StartStore(std::vector<std::string> flags) {
    std::string program = ProgramOfStore();
    flags.insert(flags.begin(), program);
    flags.insert(flags.end(), {"-s", socket_});
    std::vector<char*> arguments;
    for (std::string& flag : flags) arguments.push_back(flag.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t quiet;
    ::posix_spawn_file_actions_init(&quiet);
    ::posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ASSERT_EQ(::posix_spawn(&store_, program.c_str(), &quiet, nullptr, arguments.data(), environ), 0) << program;
    ::posix_spawn_file_actions_destroy(&quiet);
  }
  void EndStore() {
    if (store_ <= 0) return;
    ::kill(store_, SIGTERM);
    ::waitpid(store_, nullptr, 0);
    store_ = -1;
    ::unlink(socket_.c_str());
  }

  // A sealed object, held by nobody.
  static ObjectID Put(PlasmaClient& client, int64_t data_size, int64_t metadata_size = 0) {
    const ObjectID id = NewId();
    PutAs(client, id, data_size, metadata_size);
    return id;
  }
  static void PutAs(PlasmaClient& client, const ObjectID& id, int64_t data_size, int64_t metadata_size = 0) {
    PutAndHold(client, id, data_size, metadata_size);
    ASSERT_STORE_OK(client.Release(id));
  }
  static void PutAndHold(PlasmaClient& client, const ObjectID& id, int64_t data_size, int64_t metadata_size = 0) {
    const std::vector<uint8_t> metadata(static_cast<size_t>(metadata_size), 42);
    std::shared_ptr<Buffer> data;
    ASSERT_STORE_OK(client.Create(id, data_size, metadata.data(), metadata_size, &data));
    if (data_size > 0) std::memset(data->mutable_data(), 7, static_cast<size_t>(data_size));
    ASSERT_STORE_OK(client.Seal(id));
  }
  static bool Has(PlasmaClient& client, const ObjectID& id) {
    bool there = false;
    EXPECT_STORE_OK(client.Contains(id, &there));
    return there;
  }
  static int64_t Evict(PlasmaClient& client, int64_t bytes) {
    int64_t evicted = -1;
    EXPECT_STORE_OK(client.Evict(bytes, evicted));
    return evicted;
  }
  static std::vector<ObjectBuffer> Get(PlasmaClient& client, const std::vector<ObjectID>& ids, int64_t timeout_ms) {
    std::vector<ObjectBuffer> buffers;
    EXPECT_STORE_OK(client.Get(ids, timeout_ms, &buffers));
    EXPECT_EQ(buffers.size(), ids.size());
    return buffers;
  }

  const std::string& socket() const { return socket_; }
  PlasmaClient client_, other_;

 private:
  static std::string ProgramOfStore() {
#ifdef AGAINST_PLASMA
    return AGAINST_PLASMA;
#else
    if (const char* const folder = ::getenv("RAYLET_BIN_DIR")) return std::string(folder) + "/plasma_store";
    char self[4096] = {};
    if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0) return "";
    std::string path = self;
    path.resize(path.rfind('/'));
    return path + "/../bin/plasma_store";
#endif
  }

  std::string folder_, socket_;
  pid_t store_ = -1;
};

}  // namespace behaviour
