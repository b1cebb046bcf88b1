// The second driver of the minute of faults. On the daemons of RAY_ADDRESS it asks for work until the
// file FOLDER/stop exists, waits for all of it, and reports. It ends with 0 if every result was right.
//   chaos_driver SEED FOLDER
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/cluster/chaos_work.h"

int main(int argc, char** argv) {
  ray::Init();  // a worker does not return from here
  if (argc != 3) return 2;
  const std::string folder = argv[2];
  try {
    cluster_test::ChaosWork work(std::strtoull(argv[1], nullptr, 10), folder);
    while (::access((folder + "/stop").c_str(), F_OK) != 0) {
      work.Submit();
      work.Check();
      std::this_thread::sleep_for(std::chrono::milliseconds(150));  // sets the load; the sleep waits for nothing
    }
    while (work.Check()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (const std::string& each : work.wrong()) std::cout << each << std::endl;
    const size_t repeated = work.Repeated();
    std::cout << work.right() << " right, " << work.errors() << " errors, " << repeated << " repeated" << std::endl;
    if (!work.wrong().empty() || repeated > 0) return 1;
  } catch (const std::exception& e) {
    std::cout << "the machine of this driver fails: " << e.what() << std::endl;
    return 1;
  }
  ray::Shutdown();
  return 0;
}
