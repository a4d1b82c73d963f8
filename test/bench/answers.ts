/** The side of a measured process: it tells its driver the CPU and memory it used, and whatever else that process can tell. */

/** What one process used since its start; CPU in µs. */
export interface Usage {
  /** All its threads. */
  cpu: number;
  /** Of that the part inside the kernel. */
  kernel: number;
  /** Its JavaScript thread alone. */
  main_thread: number;
  /** Bytes of memory that it occupies now, and those of them that JavaScript has set aside and uses. */
  resident: number;
  heap: number;
  heap_used: number;
}

/** A question of the driver; everything but its name belongs to the one who answers. */
export interface Question {
  ask: string;
  [detail: string]: unknown;
}

type Answers = Record<string, (question: Question) => unknown>;

/** Says that the process is ready, and answers until the driver is gone: then the process ends too, so that none is left over. */
export function answerDriver(answers: Answers = {}): void {
  const all: Answers = { usage: readUsage, ...answers };
  process.on('message', async (question: Question) => {
    try {
      process.send?.({ answer: await all[question.ask]?.(question) });
    } catch (error) {
      process.send?.({ error: String(error) });
    }
  });
  process.once('disconnect', () => process.exit());
  process.send?.({ answer: 'ready' });
}

function readUsage(): Usage {
  const whole = process.cpuUsage();
  const thread = process.threadCpuUsage();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return {
    cpu: whole.user + whole.system,
    kernel: whole.system,
    main_thread: thread.user + thread.system,
    resident: rss,
    heap: heapTotal,
    heap_used: heapUsed,
  };
}
