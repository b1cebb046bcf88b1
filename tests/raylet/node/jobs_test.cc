// Jobs of drivers here and of other machines: how they are found, who has their programs, when they may be forgotten.
#include <gtest/gtest.h>

#include "raylet/node/jobs.h"
#include "tests/harness/node_number.h"

namespace raylet::test {
namespace {

const NodeId kNode = NodeNumber(1);
const NodeId kOther = NodeNumber(2);

WorkerProgram Program(const std::string& executable) { return {executable, {executable}, {}, "/", nullptr}; }

TEST(Jobs, GivesNoNumberTwice) {
  Jobs jobs;
  const JobId first = jobs.Begin(7, 70, "space", Program("/bin/a"));
  jobs.End(first, /*for_good=*/true);
  jobs.Forget(first);
  const JobId second = jobs.Begin(8, 80, "space", Program("/bin/a"));
  EXPECT_NE(first, second);
  EXPECT_EQ(jobs.Find(first), nullptr);
  EXPECT_EQ(jobs.Get(second).driver_pid, 80);
}

TEST(Jobs, TellsAProgramOnceToEachMachine) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  EXPECT_TRUE(jobs.NeedsProgram(job, kNode));
  EXPECT_FALSE(jobs.NeedsProgram(job, kNode));
  EXPECT_TRUE(jobs.NeedsProgram(job, kOther));
}

TEST(Jobs, TellsAProgramAgainToAMachineThatWasLost) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  ASSERT_TRUE(jobs.NeedsProgram(job, kNode));
  jobs.MachineLost(kNode);
  EXPECT_TRUE(jobs.NeedsProgram(job, kNode));
}

TEST(Jobs, NamesTheMachinesToTellOnlyWhenTheEndIsForGood) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  ASSERT_TRUE(jobs.NeedsProgram(job, kNode));
  EXPECT_TRUE(jobs.End(job, /*for_good=*/false).empty());
  EXPECT_EQ(jobs.End(job, /*for_good=*/true), std::set<NodeId>{kNode});
  EXPECT_TRUE(jobs.End(job, /*for_good=*/true).empty());
}

TEST(Jobs, MayBeForgottenOnceItsLastWorkerHasGone) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  jobs.WorkerStarted(job);
  jobs.WorkerStarted(job);
  jobs.WorkerGone(job);
  EXPECT_FALSE(jobs.MayBeForgotten(job));
  jobs.End(job, /*for_good=*/false);
  jobs.WorkerGone(job);
  EXPECT_FALSE(jobs.MayBeForgotten(job));  // a detached actor of it may start again
  EXPECT_EQ(jobs.ended(), std::vector<JobId>{job});
  jobs.End(job, /*for_good=*/true);
  EXPECT_TRUE(jobs.MayBeForgotten(job));
  jobs.Forget(job);
  EXPECT_FALSE(jobs.MayBeForgotten(job));
}

TEST(Jobs, TakesTasksUntilItHasEndedForGoodAndNoneOnceItIsForgotten) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  EXPECT_TRUE(jobs.TakesTasks(job));
  jobs.End(job, /*for_good=*/false);
  EXPECT_TRUE(jobs.TakesTasks(job));
  jobs.End(job, /*for_good=*/true);
  EXPECT_FALSE(jobs.TakesTasks(job));
  jobs.Forget(job);
  EXPECT_FALSE(jobs.TakesTasks(job));
}

// A machine that has heard of a job's end would keep what it hears of the job later for ever.
TEST(JobsDeathTest, TellsNoProgramOfAJobThatHasEnded) {
  Jobs jobs;
  const JobId job = jobs.Begin(7, 70, "space", Program("/bin/a"));
  ASSERT_TRUE(jobs.NeedsProgram(job, kNode));
  jobs.End(job, /*for_good=*/true);
  EXPECT_DEATH((void)jobs.NeedsProgram(job, kNode), "has ended, and work of it goes to another machine");
}

TEST(Jobs, FindsAMachinesJobByItsNumberThere) {
  Jobs jobs;
  const JobId job = jobs.BeginFrom(kNode, 3, "space", Program("/bin/a"));
  EXPECT_EQ(jobs.FindFrom(kNode, 3), job);
  EXPECT_EQ(jobs.FindFrom(kOther, 3), std::nullopt);
  jobs.Forget(job);
  EXPECT_EQ(jobs.FindFrom(kNode, 3), std::nullopt);
}

TEST(Jobs, KeepsTheNewJobOfANumberWhenTheOldOneIsForgotten) {
  Jobs jobs;
  const JobId before = jobs.BeginFrom(kNode, 3, "space", Program("/bin/a"));
  const JobId now = jobs.BeginFrom(kNode, 3, "space", Program("/bin/b"));
  jobs.Forget(before);
  EXPECT_EQ(jobs.FindFrom(kNode, 3), now);
}

TEST(Jobs, NamesTheJobsOfALostMachineThatHaveNotEnded) {
  Jobs jobs;
  const JobId ended = jobs.BeginFrom(kNode, 1, "space", Program("/bin/a"));
  const JobId goes_on = jobs.BeginFrom(kNode, 2, "space", Program("/bin/a"));
  jobs.BeginFrom(kOther, 2, "space", Program("/bin/a"));
  jobs.Begin(7, 70, "space", Program("/bin/a"));
  jobs.End(ended, /*for_good=*/true);
  EXPECT_EQ(jobs.MachineLost(kNode), std::vector<JobId>{goes_on});
}

}  // namespace
}  // namespace raylet::test
