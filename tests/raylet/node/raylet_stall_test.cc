// A raylet that stood still: stopped by a signal, frozen with its container, or without a CPU.
#include <signal.h>
#include <sys/stat.h>

#include <thread>

#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using std::chrono::milliseconds;

TEST(RayletStall, KillsNoWorkerThatRegisteredMeanwhile) {
  Node node({"--num-cpus", "2", "--register-timeout", "4"});
  RunFolder folder;
  // A worker that is slow to start: it waits for the test.
  const std::string program = folder.File("program");
  std::ofstream(program) << "#!/bin/sh\n: > " << folder.File("started") << ".$$\nuntil [ -e " << folder.File("go")
                         << " ]; do sleep 0.01; done\nexec " << FakeWorkerPath() << "\n";
  ::chmod(program.c_str(), 0700);
  WireOptions options;
  options.executable = program;
  options.arguments = {"fake"};
  auto driver = WireProcess::Register(node.socket(), options);
  ASSERT_TRUE(driver) << driver.error().message;
  TaskOptions task;
  task.arguments = {"hello"};
  const TaskId tasks[] = {driver->Submit(task), driver->Submit(task)};
  const auto started = [&] {
    const std::filesystem::directory_iterator all(folder.path());
    return std::count_if(begin(all), end(all),
                         [](const auto& each) { return each.path().filename().string().starts_with("started"); });
  };
  ASSERT_TRUE(Eventually(kPatience, [&] { return started() == 2; }));
  node.daemon->Signal(SIGSTOP);
  std::ofstream(folder.File("go")).put('x');
  // The workers register now, and the raylet sleeps on until their time is over.
  std::this_thread::sleep_for(milliseconds(5000));
  node.daemon->Signal(SIGCONT);
  for (const TaskId& each : tasks) {
    const auto result = driver->AwaitResult(each);
    EXPECT_EQ(result.result->kind, wire::ValueKind::Inline);
    EXPECT_EQ(InlineText(result), "hello");
  }
  EXPECT_EQ(node.daemon->Output().find("did not register"), std::string::npos) << node.daemon->Output();
  EXPECT_EQ(started(), 2) << "no worker was started again";
}

TEST(RayletStall, AWorkerThatNeverRegistersIsKilledAllTheSame) {
  Node node({"--num-cpus", "1", "--register-timeout", "0.3", "--log-level", "warning"});
  auto driver = node.Driver({"FAKE_WORKER_MODE=silent"});
  const auto result = driver.AwaitResult(driver.Submit({}));
  ASSERT_TRUE(result.result->failure);
  EXPECT_NE(result.result->failure->message.find("did not register within 300 ms"), std::string::npos)
      << result.result->failure->message;
  EXPECT_NE(result.result->failure->message.find("--register-timeout"), std::string::npos)
      << result.result->failure->message;
}

}  // namespace
}  // namespace raylet::test
