//! A thread that lives in namespaces of its own. Namespaces belong to a thread,
//! so a test stays where it is and lets such a thread do what must be done inside
//! a machine; what the thread starts is inside too.

use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sched::CloneFlags;

type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends, and its namespaces with it, when this is dropped and
/// nobody else is in them.
#[derive(Debug)]
pub struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// A thread in new namespaces of these kinds.
    ///
    /// # Errors
    /// The right to make them is missing.
    pub fn new(kinds: CloneFlags) -> nix::Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let made = nix::sched::unshare(kinds);
            let _ = tell.send(made);
            if made.is_ok() {
                for job in todo {
                    job();
                }
            }
        });
        told.recv().unwrap_or(Err(nix::errno::Errno::EIO))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does something in the namespaces, and waits for it. A panic in there is a
    /// panic here.
    pub fn run<R: Send + 'static>(&self, what: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, told) = mpsc::channel();
        let job = Box::new(move || {
            let _ = tell.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)));
        });
        self.jobs.as_ref().expect("the worker lives").send(job).expect("the worker lives");
        match told.recv().expect("the worker answers") {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
