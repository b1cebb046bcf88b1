// Tasks that their owners cancel, and the list of nodes, as a raylet's processes see them.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

using wire::FailureKind;
using wire::RayletMessage;
using wire::ValueKind;

void Cancel(WireProcess& process, const TaskId& task, bool force = false) {
  wire::CancelRequestT request;
  request.task = std::make_unique<wire::Id20>(ToWire(task));
  request.force = force;
  ASSERT_TRUE(process.Send(RayletMessage::CancelTask, request));
}

TEST(RayletCancel, AnswersForATaskThatNoWorkerHas) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.resources = {{"nowhere", 10'000}};
  const TaskId id = driver.Submit(task);
  Cancel(driver, id);
  const auto result = driver.AwaitResult(id);
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_EQ(result.result->failure->kind, FailureKind::TaskCancelled);
  Cancel(driver, id);  // it has ended: nothing happens
  EXPECT_EQ(driver.AwaitResult(driver.Submit({})).result->kind, ValueKind::Inline);
}

TEST(RayletCancel, ATaskOfAnotherProcessEndsTheConnection) {
  Node node;
  auto owner = node.Driver();
  auto other = node.Driver();
  TaskOptions task;
  task.resources = {{"nowhere", 10'000}};
  const TaskId id = owner.Submit(task);
  Cancel(other, id);
  EXPECT_TRUE(other.AwaitClosed());
  Cancel(owner, id);
  EXPECT_EQ(owner.AwaitResult(id).result->failure->kind, FailureKind::TaskCancelled);
}

TEST(RayletCancel, ByForceKillsAWorkerThatDoesNotEndItself) {
  Node node;
  auto driver = node.Driver();
  TaskOptions task;
  task.function = "never";
  task.max_retries = 3;
  const TaskId id = driver.Submit(task);
  // The fake worker does not know what a cancel is.
  ASSERT_TRUE(
      Eventually(kPatience, [&] { return driver.StatusJson().find("\"task\":\"never\"") != std::string::npos; }));
  Cancel(driver, id, /*force=*/true);
  const auto result = driver.AwaitResult(id);
  ASSERT_EQ(result.result->kind, ValueKind::Failed);
  EXPECT_EQ(result.result->failure->kind, FailureKind::WorkerDied) << "and it is not tried again";
  EXPECT_EQ(result.result->failure->signal, SIGKILL);
}

TEST(RayletCancel, ListsItsOwnNodeFirst) {
  Node node;
  auto driver = node.Driver();
  ASSERT_TRUE(driver.Send(RayletMessage::ListNodes, wire::EmptyNoticeT(), 7));
  const auto frame = driver.Await(RayletMessage::ListNodesReply);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.request_id, 7u);
  const auto reply = Parse<wire::ListNodesReplyT>(frame->body);
  ASSERT_TRUE(reply);
  ASSERT_EQ(reply->nodes.size(), 1u);
  EXPECT_TRUE(reply->nodes[0]->alive);
  ASSERT_FALSE(reply->nodes[0]->resources.empty());
  EXPECT_EQ(reply->nodes[0]->resources[0]->name, "CPU");
}

}  // namespace
}  // namespace raylet::test
