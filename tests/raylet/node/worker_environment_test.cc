#include "raylet/node/worker_environment.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

class WorkerEnvironment : public ::testing::Test {
 protected:
  std::string Refusal(const std::string& environment) const {
    const auto made = InEnvironment(program_, environment);
    return made ? "" : made.error().message;
  }

  const WorkerProgram program_{"/bin/train", {"train"}, {"HOME=/home/ada", "A=old", "AB=kept"}, "/home", nullptr};
};

TEST_F(WorkerEnvironment, IsThatOfTheProgramWhereNothingIsAskedFor) {
  EXPECT_EQ(InEnvironment(program_, "")->environment, program_.environment);
  EXPECT_EQ(InEnvironment(program_, "")->working_directory, "/home");
}

TEST_F(WorkerEnvironment, ReplacesVariablesAndTheFolder) {
  const auto made = InEnvironment(program_, R"({"env_vars": {"A": "new", "B": ""}, "working_dir": "/tmp"})");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->environment, (std::vector<std::string>{"HOME=/home/ada", "AB=kept", "A=new", "B="}));
  EXPECT_EQ(made->working_directory, "/tmp");
  EXPECT_EQ(made->executable, "/bin/train");
}

TEST_F(WorkerEnvironment, SaysWhatCannotBeMade) {
  EXPECT_NE(Refusal(R"({"working_dir": "/nowhere"})").find("'/nowhere' is no folder"), std::string::npos);
  EXPECT_NE(Refusal(R"({"working_dir": ""})").find("'' is no folder"), std::string::npos);
  EXPECT_NE(Refusal(R"({"working_dir": 7})").find("no string"), std::string::npos);
  EXPECT_NE(Refusal(R"({"pip": ["x"]})").find("asks for 'pip'"), std::string::npos);
  EXPECT_NE(Refusal(R"({"env_vars": ["A"]})").find("names with values"), std::string::npos);
  EXPECT_NE(Refusal(R"({"env_vars": {"A": 1}})").find("the value of A"), std::string::npos);
  EXPECT_NE(Refusal(R"({"env_vars": {"A=B": "1"}})").find("'A=B'"), std::string::npos);
  EXPECT_NE(Refusal(R"({"env_vars": {"A": "b\u0000c"}})").find("NUL"), std::string::npos);
  EXPECT_NE(Refusal("no json").find("no JSON object"), std::string::npos);
}

}  // namespace
}  // namespace raylet
