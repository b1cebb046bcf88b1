// Runtime environments, and the configuration of a job, as its workers have them.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/harness/run_folder.h"

namespace cluster_test::environment {
namespace {

using ray::RuntimeEnv;
using ray::internal::RayActorException;
using ray::internal::RayRuntimeEnvException;
using Strings = std::map<std::string, std::string>;

constexpr int kPatienceMs = 60'000;
constexpr const char* kLibrary = "libBrokenLocale.so.1";  // of the C library, and nobody here is linked with it

std::string Variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value != nullptr ? value : "unset";
}
std::string Folder() { return std::filesystem::current_path().string(); }
std::string VariableOfATask(const std::string& name) { return *ray::Task(Variable).Remote(name).Get(); }

class Reader {
 public:
  static Reader* Create() { return new Reader(); }
  std::string Read(const std::string& name) { return Variable(name); }
  std::string ReadInATask(const std::string& name) { return VariableOfATask(name); }
};

bool HasLibrary() { return ::dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD) != nullptr; }
std::string Namespace() { return ray::GetNamespace(); }
bool Detached() { return ray::internal::ActorsAreDetachedByDefault(); }
bool FindsActor(const std::string& name) { return ray::GetActor<Reader>(name).has_value(); }

RAY_REMOTE(Variable, Folder, VariableOfATask, Reader::Create, &Reader::Read, &Reader::ReadInATask, HasLibrary,
           Namespace, Detached, FindsActor);

RuntimeEnv With(const Strings& variables) {
  RuntimeEnv environment;
  environment.Set("env_vars", variables);
  return environment;
}
RuntimeEnv In(const std::string& folder) {
  RuntimeEnv environment;
  environment.Set("working_dir", folder);
  return environment;
}
void StartWith(ray::RayConfig config) {
  ray::Shutdown();
  config.head_args = {"--num-cpus", "2", "--object-store-memory", "64M"};
  ray::Init(config);
}

class EnvironmentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ray::RayConfig config;
    config.runtime_env = With({{"OF_JOB", "job"}, {"OF_BOTH", "job"}});
    StartWith(config);
  }
  static void TearDownTestSuite() { ray::Shutdown(); }
};

TEST_F(EnvironmentTest, OfTheJobIsThatOfItsTasksAndActors) {
  EXPECT_EQ(*ray::Task(Variable).Remote("OF_JOB").Get(kPatienceMs), "job");
  auto reader = ray::Actor(Reader::Create).Remote();
  EXPECT_EQ(*reader.Task(&Reader::Read).Remote("OF_JOB").Get(kPatienceMs), "job");
  EXPECT_EQ(Variable("OF_JOB"), "unset") << "the driver's own environment has changed";
}

TEST_F(EnvironmentTest, OfATaskIsOverThatOfTheJob) {
  const RuntimeEnv own = With({{"OF_BOTH", "task"}, {"OF_TASK", "task"}});
  EXPECT_EQ(*ray::Task(Variable).SetRuntimeEnv(own).Remote("OF_BOTH").Get(kPatienceMs), "task");
  EXPECT_EQ(*ray::Task(Variable).SetRuntimeEnv(own).Remote("OF_TASK").Get(kPatienceMs), "task");
  EXPECT_EQ(*ray::Task(Variable).SetRuntimeEnv(own).Remote("OF_JOB").Get(kPatienceMs), "job");
  EXPECT_EQ(*ray::Task(Variable).Remote("OF_BOTH").Get(kPatienceMs), "job");
  EXPECT_EQ(*ray::Task(Variable).Remote("OF_TASK").Get(kPatienceMs), "unset");
}

TEST_F(EnvironmentTest, TasksOfATaskAndOfAnActorInheritIt) {
  const RuntimeEnv own = With({{"OF_BOTH", "outer"}});
  EXPECT_EQ(*ray::Task(VariableOfATask).SetRuntimeEnv(own).Remote("OF_BOTH").Get(kPatienceMs), "outer");
  auto reader = ray::Actor(Reader::Create).SetRuntimeEnv(own).Remote();
  EXPECT_EQ(*reader.Task(&Reader::ReadInATask).Remote("OF_BOTH").Get(kPatienceMs), "outer");
  EXPECT_EQ(*reader.Task(&Reader::ReadInATask).Remote("OF_JOB").Get(kPatienceMs), "job");
}

TEST_F(EnvironmentTest, WorkersRunInTheWorkingDirectory) {
  const raylet::test::RunFolder folder;
  EXPECT_EQ(*ray::Task(Folder).SetRuntimeEnv(In(folder.path())).Remote().Get(kPatienceMs), folder.path());
  EXPECT_EQ(*ray::Task(Folder).Remote().Get(kPatienceMs), Folder());
}

TEST_F(EnvironmentTest, AFolderThatIsNotThereFailsTheTaskAndNoOther) {
  for (const char* const folder : {"/nowhere", ""}) {
    auto refused = ray::Task(Add).SetRuntimeEnv(In(folder)).Remote(1, 2);
    EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(kPatienceMs), 3);
    try {
      refused.Get(kPatienceMs);
      ADD_FAILURE() << "a task ran in the folder '" << folder << "'";
    } catch (const RayRuntimeEnvException& e) {
      EXPECT_NE(std::string(e.what()).find(std::string("'") + folder + "'"), std::string::npos) << e.what();
    }
  }
}

TEST_F(EnvironmentTest, AFolderThatIsNotThereFailsTheCallsOfTheActor) {
  auto reader = ray::Actor(Reader::Create).SetRuntimeEnv(In("/nowhere")).Remote();
  try {
    reader.Task(&Reader::Read).Remote("A").Get(kPatienceMs);
    ADD_FAILURE() << "an actor lives in /nowhere";
  } catch (const RayActorException& e) {
    EXPECT_NE(std::string(e.what()).find("/nowhere"), std::string::npos) << e.what();
  }
}

TEST_F(EnvironmentTest, AFieldThatNobodyKnowsIsNamed) {
  RuntimeEnv environment;
  environment.Set("pip", std::vector<std::string>{"requests"});
  try {
    ray::Task(Add).SetRuntimeEnv(environment).Remote(1, 2).Get(kPatienceMs);
    ADD_FAILURE() << "a task ran with packages of pip";
  } catch (const RayRuntimeEnvException& e) {
    EXPECT_NE(std::string(e.what()).find("'pip'"), std::string::npos) << e.what();
  }
}

TEST_F(EnvironmentTest, ManyTasksEachRunInTheirOwn) {
  std::vector<ray::ObjectRef<std::string>> results;
  constexpr int kTasks = 2000;  // enough for leases of workers
  const RuntimeEnv odd = With({{"OF_BOTH", "odd"}});
  for (int i = 0; i < kTasks; ++i) {
    auto task = ray::Task(Variable);
    if (i % 2 == 1) task.SetRuntimeEnv(odd);
    results.push_back(task.Remote("OF_BOTH"));
  }
  for (int i = 0; i < kTasks; ++i) ASSERT_EQ(*results[i].Get(kPatienceMs), i % 2 == 1 ? "odd" : "job") << i;
}

std::string PathOf(const char* library) {
  void* const opened = ::dlopen(library, RTLD_NOW);
  link_map* map = nullptr;
  if (opened == nullptr || ::dlinfo(opened, RTLD_DI_LINKMAP, &map) != 0) return "";
  return map->l_name;
}

// The workers' main begins with ray::Init(), whose config is empty.
class JobConfigTest : public ::testing::Test {
 protected:
  static void TearDownTestSuite() { ray::Shutdown(); }
};

TEST_F(JobConfigTest, OfEachInitReachesTheWorkers) {
  ray::RayConfig config;
  config.ray_namespace = "first";
  StartWith(config);
  EXPECT_EQ(*ray::Task(Namespace).Remote().Get(kPatienceMs), "first");
  EXPECT_FALSE(*ray::Task(Detached).Remote().Get(kPatienceMs));
  EXPECT_FALSE(*ray::Task(HasLibrary).Remote().Get(kPatienceMs));

  config.ray_namespace = "second";
  config.default_actor_lifetime = ray::ActorLifetime::DETACHED;
  config.code_search_path = {PathOf(kLibrary)};
  StartWith(config);
  auto reader = ray::Actor(Reader::Create).SetName("reader").Remote();
  EXPECT_EQ(*ray::Task(Namespace).Remote().Get(kPatienceMs), "second");
  EXPECT_TRUE(*ray::Task(Detached).Remote().Get(kPatienceMs));
  EXPECT_TRUE(*ray::Task(HasLibrary).Remote().Get(kPatienceMs));
  EXPECT_TRUE(*ray::Task(FindsActor).Remote("reader").Get(kPatienceMs));
}

TEST_F(JobConfigTest, WithoutANamespaceDriverAndWorkersShareOne) {
  StartWith({});
  auto reader = ray::Actor(Reader::Create).SetName("reader").Remote();
  EXPECT_EQ(*ray::Task(Namespace).Remote().Get(kPatienceMs), ray::GetNamespace());
  EXPECT_TRUE(*ray::Task(FindsActor).Remote("reader").Get(kPatienceMs));
}

}  // namespace
}  // namespace cluster_test::environment
