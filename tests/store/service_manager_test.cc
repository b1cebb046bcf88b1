#include "store/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

// The service manager's end: messages come in order, and a missing one is "" after a while.
class ManagerSocket {
 public:
  explicit ManagerSocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::strcpy(at.sun_path, path.c_str());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    const timeval wait{5, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  }
  std::string Next() const {
    char text[512];
    const ssize_t size = ::recv(fd_.get(), text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }
  std::string NextIfAny() const {
    char text[512];
    const ssize_t size = ::recv(fd_.get(), text, sizeof text, MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

 private:
  UniqueFd fd_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  test::RunFolder folder_;
  const std::string path_ = folder_.File("notify");
};

TEST_F(ServiceManagerTest, ReadyAliveAndStoppingAreSentInOrder) {
  const ManagerSocket manager(path_);
  ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "20000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  Loop loop;
  ServiceManager service;
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr) << "a child would speak for the daemon";
  service.Ready(loop, "serving");
  EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=serving\n");
  EXPECT_EQ(manager.NextIfAny(), "") << "a loop that does not turn is not alive";
  const Timer end(loop, std::chrono::milliseconds(50), std::chrono::milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(manager.Next(), "WATCHDOG=1\n");
  service.Stopping();
  std::string last;
  for (std::string message; !(message = manager.NextIfAny()).empty();) last = message;
  EXPECT_EQ(last, "STOPPING=1\n");
}

TEST_F(ServiceManagerTest, WatchdogOfAnotherProcessIsNotAnswered) {
  const ManagerSocket manager(path_);
  ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "2000", 1);
  ::setenv("WATCHDOG_PID", "1999999999", 1);
  Loop loop;
  ServiceManager service;
  service.Ready(loop, "serving");
  const Timer end(loop, std::chrono::milliseconds(20), std::chrono::milliseconds(0), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=serving\n");
  EXPECT_EQ(manager.NextIfAny(), "");
}

TEST_F(ServiceManagerTest, NothingIsSentWhereNobodyAsksOrTheAddressIsNone) {
  for (const std::string& address :
       {std::string(), std::string("relative"), "/" + std::string(200, 'x'), folder_.File("nobody")}) {
    ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "nonsense", 1);
    Loop loop;
    ServiceManager service;
    service.Ready(loop, "serving");
    service.Stopping();
    EXPECT_EQ(service.present(), address == folder_.File("nobody"));
  }
}

}  // namespace
}  // namespace raylet::store
